//! Cookies on disk: JSON, and the Netscape format of curl and wget.

use std::io::{self, BufRead, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use cookie_store::{Cookie, CookieDomain, CookieExpiration};
use url::Url;

use super::jar::{Jar, domain};

pub(super) fn write_json(jar: &Jar, mut writer: impl Write) -> io::Result<()> {
    let cookies: Vec<_> = jar.unexpired().collect();
    serde_json::to_writer_pretty(&mut writer, &cookies)?;
    writeln!(writer)
}

pub(super) fn read_json(jar: &mut Jar, reader: impl BufRead) -> io::Result<usize> {
    let cookies: Vec<Cookie<'static>> = serde_json::from_reader(reader)?;
    let mut taken = 0;
    for cookie in cookies {
        taken += usize::from(jar.insert(cookie).unwrap_or(false));
    }
    Ok(taken)
}

pub(super) fn write_netscape(jar: &Jar, mut writer: impl Write) -> io::Result<()> {
    writeln!(writer, "# Netscape HTTP Cookie File")?;
    for cookie in jar.unexpired() {
        let http_only = flag(cookie.http_only(), "#HttpOnly_", "");
        let suffix = matches!(cookie.domain, CookieDomain::Suffix(_));
        let expires = match cookie.expires {
            CookieExpiration::AtUtc(time) => time.unix_timestamp(),
            CookieExpiration::SessionEnd => 0,
        };
        writeln!(
            writer,
            "{http_only}{dot}{domain}\t{suffix}\t{path}\t{secure}\t{expires}\t{name}\t{value}",
            dot = if suffix { "." } else { "" },
            domain = domain(cookie),
            suffix = flag(Some(suffix), "TRUE", "FALSE"),
            path = &*cookie.path,
            secure = flag(cookie.secure(), "TRUE", "FALSE"),
            name = cookie.name(),
            value = cookie.value(),
        )?;
    }
    writer.flush()
}

pub(super) fn read_netscape(jar: &mut Jar, reader: impl BufRead) -> io::Result<usize> {
    let mut taken = 0;
    for (number, line) in reader.lines().enumerate() {
        let line = line?;
        let line = line.strip_suffix('\r').unwrap_or(&line);
        let (line, http_only) = match line.strip_prefix("#HttpOnly_") {
            Some(rest) => (rest, true),
            None if line.starts_with('#') || line.trim().is_empty() => continue,
            None => (line, false),
        };
        let (url, cookie) = netscape_cookie(line, http_only).ok_or_else(|| {
            let message = format!("line {} is not in the format of cookies.txt", number + 1);
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?;
        match jar.set(&url, &cookie) {
            Ok(is_new) => taken += usize::from(is_new),
            Err(error) => tracing::debug!(%error, line = number + 1, "cookie not taken"),
        }
    }
    Ok(taken)
}

/// A line as the URL of a server and what that server would have sent.
fn netscape_cookie(line: &str, http_only: bool) -> Option<(Url, String)> {
    let mut fields = line.splitn(7, '\t');
    let mut next = || fields.next();
    let (domain, subdomains, path, secure) = (next()?, next()?, next()?, next()?);
    let expires: i64 = next()?.parse().ok()?;
    // Programs that trim lines cut off an empty value with its tab.
    let (name, value) = (next()?, next().unwrap_or(""));
    if [domain, path, name, value].iter().any(|text| text.contains(';')) {
        return None;
    }

    let host = domain.strip_prefix('.').unwrap_or(domain);
    let url = Url::parse(&format!("https://{host}/")).ok()?;
    let mut cookie = format!("{name}={value}; Path={path}");
    if subdomains.eq_ignore_ascii_case("TRUE") {
        cookie += &format!("; Domain={host}");
    }
    if secure.eq_ignore_ascii_case("TRUE") {
        cookie += "; Secure";
    }
    if http_only {
        cookie += "; HttpOnly";
    }
    if expires != 0 {
        cookie += &format!("; Max-Age={}", expires.saturating_sub(now()));
    }
    Some((url, cookie))
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn flag(set: Option<bool>, yes: &'static str, no: &'static str) -> &'static str {
    if set == Some(true) { yes } else { no }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::cookies::{CookieLimits, CookieStore};

    const URL: &str = "https://www.example.org/a/b";

    fn filled() -> CookieStore {
        let store = CookieStore::new();
        for cookie in [
            "session=1",
            "host=2; Path=/; Secure; HttpOnly; Max-Age=3600",
            "domain=\"3 4\"; Path=/; Domain=example.org; SameSite=Lax",
            "empty=; Path=/",
        ] {
            store.set(URL, cookie).unwrap();
        }
        store
    }

    fn assert_same(read: &CookieStore, written: &CookieStore) {
        assert_eq!(read.len(), 4);
        for url in [
            URL,
            "https://www.example.org/",
            "http://www.example.org/",
            "ws://example.org/",
        ] {
            assert_eq!(read.get(url), written.get(url), "{url}");
        }
    }

    #[test]
    fn json_brings_back_what_was_written() {
        let written = filled();
        let mut file = Vec::new();
        written.write_json(&mut file).unwrap();
        let read = CookieStore::new();
        assert_eq!(read.read_json(&file[..]).unwrap(), 4);
        assert_same(&read, &written);
    }

    #[test]
    fn cookies_txt_brings_back_what_was_written() {
        let written = filled();
        let mut file = Vec::new();
        written.write_netscape(&mut file).unwrap();
        let read = CookieStore::new();
        assert_eq!(read.read_netscape(&file[..]).unwrap(), 4);
        assert_same(&read, &written);
    }

    #[test]
    fn cookies_txt_is_as_curl_writes_it() {
        let mut file = Vec::new();
        filled().write_netscape(&mut file).unwrap();
        let text = String::from_utf8(file).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "# Netscape HTTP Cookie File");
        assert_eq!(lines[1], "www.example.org\tFALSE\t/a\tFALSE\t0\tsession\t1");
        assert!(
            lines[2].starts_with("#HttpOnly_www.example.org\tFALSE\t/\tTRUE\t"),
            "{}",
            lines[2]
        );
        assert_eq!(lines[3], ".example.org\tTRUE\t/\tFALSE\t0\tdomain\t\"3 4\"");
        assert_eq!(lines[4], "www.example.org\tFALSE\t/\tFALSE\t0\tempty\t");
    }

    #[test]
    fn lines_of_other_programs_are_understood() {
        let text = "# Netscape HTTP Cookie File\r\n\n# a comment\n\
            .example.org\tTRUE\t/\tFALSE\t4102444800\ta\t1\r\n\
            example.org\tFALSE\t/\tfalse\t0\ttrimmed\n\
            example.org\tFALSE\t/\tFALSE\t1\tlong-gone\t1\n\
            .co.uk\tTRUE\t/\tFALSE\t0\tsuper\t1\n\
            .gone.example\tTRUE\t/\tFALSE\t1\tgone\t1";
        let store = CookieStore::new();
        assert_eq!(store.read_netscape(text.as_bytes()).unwrap(), 3);
        // For a public suffix: for that host alone.
        assert_eq!(store.get("ws://shop.co.uk/"), None);
        assert_eq!(store.get("ws://example.org/").as_deref(), Some("a=1; trimmed="));
        assert_eq!(store.get("ws://x.example.org/").as_deref(), Some("a=1"));
    }

    #[test]
    fn what_is_not_a_cookie_file_is_an_error_with_the_line() {
        for bad in [
            "nonsense",
            "a\tb\tc\td\te\tf\tg",
            "a.example\tTRUE\t/;x\tTRUE\t0\tn\tv",
        ] {
            let text = format!("# fine\n{bad}\n");
            let error = CookieStore::new().read_netscape(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("line 2"), "{error}");
        }
        for bad in ["", "{}", "[1]"] {
            let store = CookieStore::new();
            let error = store.read_json(bad.as_bytes()).unwrap_err();
            assert!(
                matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ),
                "{bad}: {error:?}"
            );
        }
    }

    #[test]
    fn the_limits_hold_for_files_too() {
        let written = filled();
        let mut file = Vec::new();
        written.write_json(&mut file).unwrap();
        let read = CookieStore::with_limits(CookieLimits {
            total: 2,
            ..CookieLimits::default()
        });
        read.read_json(&file[..]).unwrap();
        assert_eq!(read.len(), 2);
    }
}
