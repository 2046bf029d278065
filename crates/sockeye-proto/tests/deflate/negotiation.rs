//! The negotiation of permessage-deflate (RFC 7692 §7.1), seen from both ends.

use proptest::prelude::*;
use sockeye_proto::deflate::{Deflate, NegotiationError, Parameters};
use sockeye_proto::extension::{Extension, parse_list};

use crate::bits;

fn list(value: &str) -> Vec<Extension> {
    parse_list([value.as_bytes()]).unwrap()
}

/// Options that ask for nothing, so that only what a case is about shows in the header.
fn lax() -> Deflate {
    Deflate {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..Deflate::default()
    }
}

fn parameters(server_reset: bool, client_reset: bool, server_bits: u8, client_bits: u8) -> Parameters {
    Parameters {
        server_no_context_takeover: server_reset,
        client_no_context_takeover: client_reset,
        server_max_window_bits: bits(server_bits),
        client_max_window_bits: bits(client_bits),
    }
}

#[test]
fn server_answers_what_is_offered() {
    for (parameters_offered, response, agreed) in [
        ("", "", parameters(false, false, 15, 15)),
        (
            "; server_no_context_takeover",
            "; server_no_context_takeover",
            parameters(true, false, 15, 15),
        ),
        (
            "; client_no_context_takeover",
            "; client_no_context_takeover",
            parameters(false, true, 15, 15),
        ),
        (
            "; server_max_window_bits=8",
            "; server_max_window_bits=8",
            parameters(false, false, 8, 15),
        ),
        (
            "; server_max_window_bits=15",
            "; server_max_window_bits=15",
            parameters(false, false, 15, 15),
        ),
        (
            "; server_max_window_bits=\"10\"",
            "; server_max_window_bits=10",
            parameters(false, false, 10, 15),
        ),
        ("; client_max_window_bits", "", parameters(false, false, 15, 15)),
        (
            "; client_max_window_bits=8",
            "; client_max_window_bits=8",
            parameters(false, false, 15, 8),
        ),
        (
            "; client_max_window_bits=15",
            "; client_max_window_bits=15",
            parameters(false, false, 15, 15),
        ),
        (
            "; client_max_window_bits=9; server_max_window_bits=10; client_no_context_takeover; server_no_context_takeover",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9",
            parameters(true, true, 10, 9),
        ),
    ] {
        let (agreement, answer) = lax()
            .accept(&list(&format!("permessage-deflate{parameters_offered}")))
            .unwrap();
        assert_eq!(
            answer.to_string(),
            format!("permessage-deflate{response}"),
            "{parameters_offered}"
        );
        assert_eq!(agreement, agreed, "{parameters_offered}");
    }
}

#[test]
fn server_imposes_its_own_limits() {
    let no_takeover = Deflate::default();
    let narrow = Deflate {
        server_max_window_bits: bits(11),
        client_max_window_bits: bits(10),
        ..lax()
    };
    for (options, offered, response, agreed) in [
        (
            &no_takeover,
            "",
            "; server_no_context_takeover; client_no_context_takeover",
            parameters(true, true, 15, 15),
        ),
        // Without client_max_window_bits in the offer, the client's window cannot be limited, but it
        // can be made to forget.
        (
            &narrow,
            "",
            "; client_no_context_takeover; server_max_window_bits=11",
            parameters(false, true, 11, 15),
        ),
        (
            &narrow,
            "; client_max_window_bits",
            "; server_max_window_bits=11; client_max_window_bits=10",
            parameters(false, false, 11, 10),
        ),
        (
            &narrow,
            "; client_max_window_bits=15; server_max_window_bits=15",
            "; server_max_window_bits=11; client_max_window_bits=10",
            parameters(false, false, 11, 10),
        ),
        (
            &narrow,
            "; client_max_window_bits=9; server_max_window_bits=8",
            "; server_max_window_bits=8; client_max_window_bits=9",
            parameters(false, false, 8, 9),
        ),
    ] {
        let (agreement, answer) = options
            .accept(&list(&format!("permessage-deflate{offered}")))
            .unwrap();
        assert_eq!(
            answer.to_string(),
            format!("permessage-deflate{response}"),
            "{offered}"
        );
        assert_eq!(agreement, agreed, "{offered}");
    }
}

/// Parameters that make an offer unacceptable and a response invalid.
const INVALID: &[(&str, NegotiationError)] = &[
    (
        "server_no_context_takeover=1",
        NegotiationError::InvalidValue("server_no_context_takeover"),
    ),
    (
        "client_no_context_takeover=true",
        NegotiationError::InvalidValue("client_no_context_takeover"),
    ),
    (
        "server_no_context_takeover; server_no_context_takeover",
        NegotiationError::RepeatedParameter("server_no_context_takeover"),
    ),
    (
        "client_no_context_takeover; client_no_context_takeover",
        NegotiationError::RepeatedParameter("client_no_context_takeover"),
    ),
    (
        "server_max_window_bits",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=7",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=16",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=08",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=010",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=+9",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=-9",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=9.0",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=0x9",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=\"09\"",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=99999999999999999999",
        NegotiationError::InvalidValue("server_max_window_bits"),
    ),
    (
        "server_max_window_bits=10; server_max_window_bits=10",
        NegotiationError::RepeatedParameter("server_max_window_bits"),
    ),
    (
        "client_max_window_bits=7",
        NegotiationError::InvalidValue("client_max_window_bits"),
    ),
    (
        "client_max_window_bits=16",
        NegotiationError::InvalidValue("client_max_window_bits"),
    ),
    (
        "client_max_window_bits=09",
        NegotiationError::InvalidValue("client_max_window_bits"),
    ),
    (
        "client_max_window_bits=x",
        NegotiationError::InvalidValue("client_max_window_bits"),
    ),
    (
        "client_max_window_bits=10; client_max_window_bits=11",
        NegotiationError::RepeatedParameter("client_max_window_bits"),
    ),
    ("unknown", NegotiationError::UnknownParameter),
    ("unknown=1", NegotiationError::UnknownParameter),
    ("Server_No_Context_Takeover", NegotiationError::UnknownParameter),
    ("constructor", NegotiationError::UnknownParameter),
];

#[test]
fn server_declines_an_offer_with_an_invalid_parameter() {
    for (invalid, _) in INVALID {
        assert_eq!(
            lax().accept(&list(&format!("permessage-deflate; {invalid}"))),
            None,
            "{invalid}"
        );
    }
    let repeated_bare = list("permessage-deflate; client_max_window_bits; client_max_window_bits");
    assert_eq!(lax().accept(&repeated_bare), None);
}

#[test]
fn server_takes_the_first_acceptable_offer() {
    for (offers, response) in [
        (
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
            "server_max_window_bits=10",
        ),
        (
            "permessage-deflate; x, permessage-deflate; server_max_window_bits=9",
            "server_max_window_bits=9",
        ),
        (
            "x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=12",
            "server_max_window_bits=12",
        ),
    ] {
        let (_, answer) = lax().accept(&list(offers)).unwrap();
        assert_eq!(
            answer.to_string(),
            format!("permessage-deflate; {response}"),
            "{offers}"
        );
    }
    for offers in [
        "",
        "x-webkit-deflate-frame",
        "permessage-bzip2",
        "Permessage-Deflate",
        "permessage-deflate; x, a",
    ] {
        assert_eq!(lax().accept(&list(offers)), None, "{offers}");
    }
}

#[test]
fn client_offers_what_it_wants_and_a_fallback_for_servers_that_cannot_limit_their_window() {
    let written = |options: &Deflate| {
        options
            .offer()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        written(&Deflate::default()),
        [
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
        ]
    );
    assert_eq!(written(&lax()), ["permessage-deflate; client_max_window_bits"]);
    assert_eq!(
        written(&Deflate {
            server_max_window_bits: bits(8),
            client_max_window_bits: bits(9),
            ..lax()
        }),
        [
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits=9",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
        ]
    );
}

#[test]
fn client_confirms_what_its_offers_allow() {
    let narrow_server = Deflate {
        server_max_window_bits: bits(10),
        ..lax()
    };
    let narrow_client = Deflate {
        client_max_window_bits: bits(10),
        ..lax()
    };
    for (options, response, agreed) in [
        (&lax(), "", parameters(false, false, 15, 15)),
        (
            &lax(),
            "; server_no_context_takeover",
            parameters(true, false, 15, 15),
        ),
        (
            &lax(),
            "; client_no_context_takeover",
            parameters(false, true, 15, 15),
        ),
        (
            &lax(),
            "; server_max_window_bits=8",
            parameters(false, false, 8, 15),
        ),
        (
            &lax(),
            "; client_max_window_bits=8",
            parameters(false, false, 15, 8),
        ),
        (
            &lax(),
            "; client_max_window_bits=\"9\"",
            parameters(false, false, 15, 9),
        ),
        (
            &Deflate::default(),
            "; server_no_context_takeover",
            parameters(true, true, 15, 15),
        ),
        (
            &narrow_server,
            "; server_max_window_bits=10",
            parameters(false, false, 10, 15),
        ),
        (
            &narrow_server,
            "; server_max_window_bits=9",
            parameters(false, false, 9, 15),
        ),
        // The second offer.
        (
            &narrow_server,
            "; server_no_context_takeover",
            parameters(true, false, 15, 15),
        ),
        (
            &narrow_client,
            "; client_max_window_bits=8",
            parameters(false, false, 15, 8),
        ),
        // What was offered holds although the server does not repeat it.
        (&narrow_client, "", parameters(false, false, 15, 10)),
    ] {
        let confirmed = options.confirm(&list(&format!("permessage-deflate{response}")));
        assert_eq!(confirmed, Ok(Some(agreed)), "{response}");
    }
    assert_eq!(lax().confirm(&[]), Ok(None));
}

#[test]
fn client_refuses_what_its_offers_do_not_allow() {
    use NegotiationError::*;
    let narrow = Deflate {
        server_max_window_bits: bits(10),
        client_max_window_bits: bits(10),
        ..lax()
    };
    for (options, response, error) in [
        (&lax(), "x-other", UnofferedExtension),
        (&lax(), "permessage-deflate, x-other", UnofferedExtension),
        (&lax(), "Permessage-Deflate", UnofferedExtension),
        (
            &lax(),
            "permessage-deflate, permessage-deflate",
            RepeatedExtension,
        ),
        (
            &lax(),
            "permessage-deflate; client_max_window_bits",
            InvalidValue("client_max_window_bits"),
        ),
        (
            &Deflate::default(),
            "permessage-deflate",
            IgnoredParameter("server_no_context_takeover"),
        ),
        (
            &narrow,
            "permessage-deflate",
            IgnoredParameter("server_max_window_bits"),
        ),
        (
            &narrow,
            "permessage-deflate; server_max_window_bits=11",
            BeyondOffer("server_max_window_bits"),
        ),
        (
            &narrow,
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11",
            BeyondOffer("client_max_window_bits"),
        ),
    ] {
        assert_eq!(options.confirm(&list(response)), Err(error), "{response}");
    }
    for (invalid, error) in INVALID {
        assert_eq!(
            lax().confirm(&list(&format!("permessage-deflate; {invalid}"))),
            Err(*error),
            "{invalid}"
        );
    }
}

fn options() -> impl Strategy<Value = Deflate> {
    (any::<bool>(), any::<bool>(), 8..=15_u8, 8..=15_u8).prop_map(
        |(server, client, server_bits, client_bits)| Deflate {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: bits(server_bits),
            client_max_window_bits: bits(client_bits),
            ..Deflate::default()
        },
    )
}

proptest! {
    /// Any two of our own agree on the same thing, and neither gets less than it asked for.
    #[test]
    fn any_client_and_any_server_agree(client in options(), server in options()) {
        let (at_server, response) = server.accept(&client.offer()).unwrap();
        let written = list(&response.to_string());
        let at_client = client.confirm(&written).unwrap().unwrap();
        prop_assert_eq!(at_server, at_client);
        for options in [&client, &server] {
            prop_assert!(at_client.server_no_context_takeover >= options.server_no_context_takeover);
            prop_assert!(at_client.client_no_context_takeover >= options.client_no_context_takeover);
            prop_assert!(at_client.server_max_window_bits <= options.server_max_window_bits);
            prop_assert!(at_client.client_max_window_bits <= options.client_max_window_bits);
        }
    }
}
