//! Asking a SOCKS5 proxy for a way (RFC 1928, RFC 1929), by the crate `tokio-socks`.
//!
//! Nothing the proxy says is of any length: the sizes of the protocol are the limits.

use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as Refused, TargetAddr};

use super::Proxy;
use super::tunnel::Destination;
use crate::client::dial::{Duplex, Endpoint};
use crate::client::phase::Clock;
use crate::error::{ConnectPhase, Error, Result};

/// The longest name of a host that fits into the request, in bytes (RFC 1928 §5).
const MAX_NAME: usize = 255;

impl<'a> Destination<'a> {
    /// As the request has it; `None` if the name does not fit.
    fn to_target(self) -> Option<TargetAddr<'a>> {
        match self {
            Self::Address(address) => Some(TargetAddr::Ip(address)),
            Self::Name(to) if to.host().len() > MAX_NAME => None,
            Self::Name(to) => Some(TargetAddr::Domain(to.host().into(), to.port())),
        }
    }
}

/// Asks the proxy at the other end of `io` for a way to `destination`. After that, `io` leads there. `to` is the server
/// as errors call it.
pub(super) async fn ask(
    io: &mut impl Duplex,
    proxy: &Proxy,
    to: &Endpoint,
    destination: Destination<'_>,
    clock: &Clock,
) -> Result<()> {
    let failed = |how: &str| format!("{} gave no way to {to}: {how}", proxy.endpoint.name());
    let Some(target) = destination.to_target() else {
        return Err(Error::connecting(
            ConnectPhase::Proxy,
            failed("the host name is longer than SOCKS5 allows"),
        ));
    };
    let asking = async {
        let asked = match &proxy.credentials {
            Some(given) => {
                let (user, password) = (&given.user, &given.password);
                Socks5Stream::connect_with_password_and_socket(io, target, user, password).await
            }
            None => Socks5Stream::connect_with_socket(io, target).await,
        };
        match asked {
            Ok(_) => Ok(()),
            Err(Refused::Io(error)) => {
                let message = failed("the connection was lost");
                Err(Error::connecting_by(ConnectPhase::Proxy, message, error))
            }
            Err(refused) => Err(Error::connecting(ConnectPhase::Proxy, failed(&reason(&refused)))),
        }
    };
    clock
        .run(ConnectPhase::Proxy, &proxy.endpoint.to_string(), asking)
        .await
}

/// What the proxy said, in words.
fn reason(refused: &Refused) -> String {
    match refused {
        Refused::NoAcceptableAuthMethods | Refused::AuthorizationRequired => {
            "it wants another kind of authentication".to_owned()
        }
        Refused::PasswordAuthFailure(_) => "it does not accept user name and password".to_owned(),
        Refused::InvalidResponseVersion => "its answer is not SOCKS5".to_owned(),
        // The crate's own words for the codes of RFC 1928 §6.
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::client::ConnectTimeouts;

    fn to() -> Endpoint {
        Endpoint::new("server.test", 443)
    }

    /// Asks a proxy that answers with these bytes; gives the result and what it was sent.
    async fn ask_with(url: &str, destination: Destination<'_>, answers: &[u8]) -> (Result<()>, Vec<u8>) {
        let (mut near, mut far) = duplex(64 * 1024);
        far.write_all(answers).await.unwrap();
        let clock = Clock::start(&ConnectTimeouts::default());
        let proxy = Proxy::new(url).unwrap();
        let result = ask(&mut near, &proxy, &to(), destination, &clock).await;
        drop(near);
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.unwrap();
        (result, sent)
    }

    /// No authentication, then success with an IPv4 address.
    const FINE: &[u8] = &[5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80];

    #[tokio::test]
    async fn names_travel_as_names_and_addresses_as_addresses() {
        let name: Vec<u8> = [&[5, 1, 0, 5, 1, 0, 3, 11][..], b"server.test", &[1, 187]].concat();
        let v4 = vec![5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 1, 187];
        let v6 = [
            5, 1, 0, 5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 187,
        ];
        let address = |ip: &str| Destination::Address(SocketAddr::new(ip.parse().unwrap(), 443));
        for (destination, want) in [
            (Destination::Name(&to()), name),
            (address("192.0.2.1"), v4),
            (address("2001:db8::1"), v6.to_vec()),
        ] {
            let (result, sent) = ask_with("socks5h://p", destination, FINE).await;
            assert!(result.is_ok(), "{result:?}");
            assert_eq!(sent, want, "{destination:?}");
        }
    }

    #[tokio::test]
    async fn user_name_and_password_are_sent_when_asked_for() {
        let answers = [&[5, 2, 1, 0][..], &FINE[2..]].concat();
        let (result, sent) = ask_with("socks5h://me:pw@p", Destination::Name(&to()), &answers).await;
        assert!(result.is_ok(), "{result:?}");
        let greeting = [5, 2, 0, 2];
        let login = [1, 2, b'm', b'e', 2, b'p', b'w'];
        assert!(sent.starts_with(&[&greeting[..], &login].concat()), "{sent:?}");

        // A proxy that wants none is not told them.
        let (result, sent) = ask_with("socks5h://me:pw@p", Destination::Name(&to()), FINE).await;
        assert!(result.is_ok(), "{result:?}");
        assert!(!sent.windows(2).any(|window| window == b"pw"), "{sent:?}");
    }

    #[tokio::test]
    async fn every_way_to_say_no_is_an_error_of_the_proxy() {
        let mut cases = vec![
            (vec![5, 0xff], "another kind of authentication"),
            (vec![5, 2], "another kind of authentication"),
            (vec![5, 1], "auth method"),
            (vec![4, 0], "not SOCKS5"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "not SOCKS5"),
            (vec![5, 0, 5, 0, 0, 9, 0, 0, 0, 0, 0, 0], "address type"),
        ];
        for (code, want) in [
            (1, "General"),
            (2, "ruleset"),
            (3, "Network unreachable"),
            (4, "Host unreachable"),
            (5, "refused"),
            (6, "TTL"),
            (7, "Command"),
            (8, "Address type"),
            (99, "gave no way"),
        ] {
            cases.push((vec![5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0], want));
        }
        for (answers, want) in cases {
            let (result, _) = ask_with("socks5h://p:9", Destination::Name(&to()), &answers).await;
            let error = result.unwrap_err();
            assert!(error.is_proxy(), "{error:?}");
            assert_eq!(error.phase(), Some(ConnectPhase::Proxy));
            let text = error.to_string();
            assert!(
                text.starts_with("the proxy p:9 gave no way to server.test:443: "),
                "{text}"
            );
            assert!(text.contains(want), "{want}: {text}");
        }
        let (result, _) = ask_with("socks5h://me:pw@p", Destination::Name(&to()), &[5, 2, 1, 1]).await;
        let text = result.unwrap_err().to_string();
        assert!(text.contains("does not accept user name and password"), "{text}");
    }

    #[tokio::test]
    async fn a_proxy_that_hangs_up_is_an_error_with_its_cause() {
        let (mut near, far) = duplex(64);
        drop(far);
        let clock = Clock::start(&ConnectTimeouts::default());
        let proxy = Proxy::new("socks5h://p").unwrap();
        let error = ask(&mut near, &proxy, &to(), Destination::Name(&to()), &clock)
            .await
            .unwrap_err();
        assert!(error.is_proxy());
        assert!(std::error::Error::source(&error).is_some());
    }

    #[tokio::test]
    async fn a_name_that_does_not_fit_is_told_before_anything_is_sent() {
        let long = Endpoint::new("a".repeat(256), 80);
        let (result, sent) = ask_with("socks5h://p", Destination::Name(&long), &[]).await;
        assert!(
            result
                .unwrap_err()
                .to_string()
                .contains("longer than SOCKS5 allows")
        );
        assert!(sent.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_proxy_is_given_up_after_its_own_timeout() {
        let (mut near, _far) = duplex(64);
        let clock = Clock::start(&ConnectTimeouts {
            proxy: Duration::from_secs(4),
            ..ConnectTimeouts::default()
        });
        let started = tokio::time::Instant::now();
        let proxy = Proxy::new("socks5h://p").unwrap();
        let error = ask(&mut near, &proxy, &to(), Destination::Name(&to()), &clock)
            .await
            .unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 4);
        assert!(error.is_timeout());
        assert_eq!(error.phase(), Some(ConnectPhase::Proxy));
    }
}
