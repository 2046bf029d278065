//! Both sides against each other.

use proptest::prelude::*;

use super::HeadLimits;
use super::client::{Request, ResponseReader};
use super::server::{RequestReader, Upgrade};
use crate::deflate::{Deflate, WindowBits};

const AUTHORITIES: &[&str] = &["a", "example.org:8080", "[::1]", "[2001:db8::1]:443", "u:p@h_1"];

fn deflate() -> impl Strategy<Value = Deflate> {
    let bits = || (8..=15u8).prop_map(|bits| WindowBits::new(bits).unwrap());
    (any::<bool>(), any::<bool>(), bits(), bits()).prop_map(
        |(server_resets, client_resets, server, client)| Deflate {
            server_no_context_takeover: server_resets,
            client_no_context_takeover: client_resets,
            server_max_window_bits: server,
            client_max_window_bits: client,
            ..Deflate::default()
        },
    )
}

fn token() -> impl Strategy<Value = String> {
    "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}"
}

proptest! {
    #[test]
    fn each_side_accepts_what_the_other_builds(
        nonce: [u8; 16],
        authority in prop::sample::select(AUTHORITIES),
        secure: bool,
        path in "(/[a-z%20]{0,5}){0,3}(\\?[a-z=&]{0,8})?",
        names in prop::collection::hash_set(token(), 0..5),
        choice: Option<prop::sample::Index>,
        offered in prop::option::of(deflate()),
        allowed in prop::option::of(deflate()),
        origin in prop::option::of("https?://[a-z.]{1,10}"),
        extra in "[ -~]{0,20}",
    ) {
        let mut names = Vec::from_iter(names);
        let scheme = if secure { "wss" } else { "ws" };
        // A percent sign needs two digits after it, in a URL.
        let url = format!("{scheme}://{authority}{}", path.replace('%', "%41"));
        let mut request = Request::new(url.as_str(), nonce).unwrap().header("X-Extra", extra.as_str()).unwrap();
        for name in &names {
            request = request.subprotocol(name).unwrap();
        }
        if let Some(origin) = &origin {
            request = request.origin(origin.as_str()).unwrap();
        }
        if let Some(offered) = &offered {
            request = request.deflate(offered.clone());
        }

        let mut bytes = Vec::new();
        request.write(&mut bytes);
        let head = RequestReader::new(HeadLimits::default()).read(&bytes).unwrap().unwrap();
        prop_assert_eq!(head.len, bytes.len());
        let http = request.to_http();
        prop_assert_eq!(head.request.uri(), http.uri());
        prop_assert_eq!(head.request.headers()["x-extra"].as_bytes(), extra.trim_matches(' ').as_bytes());
        let upgrade = Upgrade::from_request(&head.request).unwrap();
        prop_assert_eq!(upgrade.clone(), Upgrade::from_request(&http).unwrap());
        prop_assert_eq!(upgrade.host().as_str(), request.target().host_header());
        prop_assert_eq!(upgrade.origin(), origin.as_deref());
        prop_assert_eq!(upgrade.subprotocols(), request.subprotocols());
        prop_assert_eq!(upgrade.extensions().is_empty(), offered.is_none());

        let mut acceptance = upgrade.accept().header("Set-Cookie", "a=b").unwrap();
        if let (Some(choice), false) = (choice, names.is_empty()) {
            acceptance = acceptance.subprotocol(&names.swap_remove(choice.index(names.len()))).unwrap();
        }
        if let Some(allowed) = &allowed {
            acceptance = acceptance.deflate(allowed);
        }
        let mut bytes = Vec::new();
        acceptance.write(&mut bytes);
        let head = ResponseReader::new(HeadLimits::default()).read(&bytes).unwrap().unwrap();
        prop_assert_eq!(head.len, bytes.len());
        prop_assert_eq!(request.verify(&head.response).unwrap(), acceptance.negotiated());
        prop_assert_eq!(request.verify(&acceptance.response()).unwrap(), acceptance.negotiated());
    }
}
