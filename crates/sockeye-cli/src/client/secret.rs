//! Secrets on the command line, or rather not on it: everybody on a machine can list the arguments of programs.

use std::fmt;
use std::str::FromStr;

/// A password or token, given as it is or as `@FILE`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(file) = text.strip_prefix('@') else {
            return Ok(Self(text.to_owned()));
        };
        let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
        // Editors end a file with a line feed.
        Ok(Self(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

/// Says nothing.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A user name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Secret,
}

impl FromStr for Credentials {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let secret: Secret = text.parse()?;
        // The user name, of which RFC 7617 §2 forbids a colon, but not the text: it may be all secret.
        let (user, password) = secret
            .expose()
            .split_once(':')
            .ok_or("there is no colon in it: write USER:PASSWORD, or @FILE with that in it")?;
        Ok(Self {
            user: user.to_owned(),
            password: Secret(password.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_may_lie_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "abc:d:e\r\n").unwrap();
        let argument = format!("@{}", file.display());
        assert_eq!(argument.parse::<Secret>().unwrap().expose(), "abc:d:e");
        let credentials: Credentials = argument.parse().unwrap();
        assert_eq!(
            (credentials.user.as_str(), credentials.password.expose()),
            ("abc", "d:e")
        );
        assert!(
            "@/no/such/file"
                .parse::<Secret>()
                .unwrap_err()
                .starts_with("cannot read /no/such/file")
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        let credentials: Credentials = "me:hunter2".parse().unwrap();
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn credentials_without_a_colon_are_refused_without_being_repeated() {
        let error = "hunter2".parse::<Credentials>().unwrap_err();
        assert!(
            error.contains("USER:PASSWORD") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
