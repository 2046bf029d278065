//! The subprotocols that a WebSocket is constructed with.

use std::collections::HashSet;

use sockeye_proto::Subprotocol;

use super::DomException;

/// What can be given for the `protocols` of the constructor: `()` for none, one string, or a list of strings.
pub trait IntoProtocols {
    /// The list as it was given, not checked yet.
    fn into_protocols(self) -> Vec<String>;
}

/// None, which is also the default of the standard.
impl IntoProtocols for () {
    fn into_protocols(self) -> Vec<String> {
        Vec::new()
    }
}

impl IntoProtocols for &str {
    fn into_protocols(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl IntoProtocols for String {
    fn into_protocols(self) -> Vec<String> {
        vec![self]
    }
}

impl IntoProtocols for &String {
    fn into_protocols(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl<S: Into<String>> IntoProtocols for Vec<S> {
    fn into_protocols(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<S: Into<String>, const N: usize> IntoProtocols for [S; N] {
    fn into_protocols(self) -> Vec<String> {
        self.map(Into::into).into()
    }
}

impl<S: AsRef<str>> IntoProtocols for &[S] {
    fn into_protocols(self) -> Vec<String> {
        self.iter().map(|name| name.as_ref().to_owned()).collect()
    }
}

/// Step 8 of the constructor: each name is a token, and none comes twice.
///
/// RFC 6455 compares names exactly; the tests of the web platform want names refused that differ in case only.
pub(crate) fn check(protocols: Vec<String>) -> Result<Vec<Subprotocol>, DomException> {
    let mut seen = HashSet::new();
    let mut checked = Vec::with_capacity(protocols.len());
    for name in protocols {
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(DomException::syntax(format!(
                "the subprotocol {name:?} is listed twice"
            )));
        }
        checked.push(
            Subprotocol::new(name.as_str())
                .map_err(|_| DomException::syntax(format!("{name:?} is not the name of a subprotocol")))?,
        );
    }
    Ok(checked)
}
