//! Which certificate a client is shown: by the name that it asks for (SNI).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Identity, TlsError};

/// The certificates of a server: an exact name beats a wildcard, a wildcard beats the default.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// Keyed by what follows `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    pub(super) fn set_default(&mut self, identity: &Identity) -> Result<(), TlsError> {
        self.default = Some(Arc::new(identity.load()?));
        Ok(())
    }

    /// Adds a certificate for `example.com` or `*.example.com`, which the certificate must cover.
    pub(super) fn add(&mut self, name: &str, identity: &Identity) -> Result<(), TlsError> {
        let wildcard = name.strip_prefix("*.");
        let bad_name = || TlsError::BadName {
            name: name.to_owned(),
        };
        if name.ends_with('.') || DnsName::try_from(wildcard.unwrap_or(name)).is_err() {
            return Err(bad_name());
        }
        // A wildcard is checked with a name that it stands for.
        let probe = wildcard.map_or_else(|| name.to_owned(), |parent| format!("sockeye.{parent}"));
        let probe = DnsName::try_from(probe)
            .map_err(|_| bad_name())?
            .to_lowercase_owned();

        let certified = Arc::new(identity.load()?);
        certified
            .end_entity_cert()
            .and_then(ParsedCertificate::try_from)
            .and_then(|leaf| rustls::client::verify_server_name(&leaf, &ServerName::DnsName(probe)))
            .map_err(|_| TlsError::NameNotCovered {
                name: name.to_owned(),
                from: identity.describe_chain(),
            })?;

        let (table, key) = match wildcard {
            Some(parent) => (&mut self.wildcard, parent),
            None => (&mut self.exact, name),
        };
        if table.insert(key.to_ascii_lowercase(), certified).is_some() {
            return Err(TlsError::DuplicateName {
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.default.is_none()
    }

    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = name else {
            return self.default.as_ref();
        };
        let name = name.to_ascii_lowercase();
        // RFC 6125 §6.4.3: a wildcard stands for the left-most label and nothing more.
        let by_wildcard = || {
            name.split_once('.')
                .and_then(|(_, parent)| self.wildcard.get(parent))
        };
        self.exact
            .get(&name)
            .or_else(by_wildcard)
            .or(self.default.as_ref())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pem;
    use super::*;

    fn identity(names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let pair = rcgen::generate_simple_self_signed(names).unwrap();
        Identity::new(
            Pem::bytes(pair.cert.pem()),
            Pem::bytes(pair.signing_key.serialize_pem()),
        )
    }

    #[test]
    fn exact_beats_wildcard_beats_default() {
        let mut certificates = Certificates::default();
        certificates.set_default(&identity(&["fallback.test"])).unwrap();
        certificates
            .add("*.example.com", &identity(&["*.example.com"]))
            .unwrap();
        certificates
            .add("API.example.com", &identity(&["api.example.com"]))
            .unwrap();
        let default = certificates.default.as_ref().unwrap();
        let wildcard = &certificates.wildcard["example.com"];
        let exact = &certificates.exact["api.example.com"];

        for (name, expected) in [
            (Some("api.example.com"), exact),
            (Some("Api.Example.Com"), exact),
            (Some("www.example.com"), wildcard),
            (Some("example.com"), default),
            (Some("a.b.example.com"), default),
            (Some("example.com.evil.test"), default),
            (None, default),
        ] {
            assert!(
                Arc::ptr_eq(certificates.find(name).unwrap(), expected),
                "{name:?}"
            );
        }
    }

    #[test]
    fn without_a_default_an_unknown_name_finds_nothing() {
        let mut certificates = Certificates::default();
        certificates.add("a.test", &identity(&["a.test"])).unwrap();
        assert!(certificates.find(Some("b.test")).is_none());
        assert!(certificates.find(None).is_none());
    }

    #[test]
    fn names_are_checked_against_the_certificate() {
        let mut certificates = Certificates::default();
        for (name, covered) in [
            ("a.test", "b.test"),
            ("*.a.test", "a.test"),
            ("a.test", "*.a.test"),
        ] {
            let error = certificates.add(name, &identity(&[covered])).unwrap_err();
            assert!(
                matches!(error, TlsError::NameNotCovered { .. }),
                "{name} {covered}: {error}"
            );
        }
        for name in ["", "*", "*.", "a.test.", "a.*.test", "a b.test", "https://a.test"] {
            let error = certificates.add(name, &identity(&["a.test"])).unwrap_err();
            assert!(matches!(error, TlsError::BadName { .. }), "{name:?}: {error}");
        }
    }

    #[test]
    fn a_name_can_have_one_certificate() {
        let mut certificates = Certificates::default();
        certificates.add("a.test", &identity(&["a.test"])).unwrap();
        let error = certificates.add("A.test", &identity(&["a.test"])).unwrap_err();
        assert!(matches!(error, TlsError::DuplicateName { .. }));
    }
}
