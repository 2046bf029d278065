//! Any bytes, to either end of a connection: they do no harm, and how they arrive makes no difference.

use arbitrary::{Arbitrary, Unstructured};
use sockeye_proto::{Config, Delivery, Role};

use crate::support::outcome::{Outcome, join_messages};
use crate::support::{NO_TAKEOVER, TAKEOVER};

const DELIVERIES: [Delivery; 3] = [Delivery::Messages, Delivery::Chunks, Delivery::Frames];

/// The first bytes of the input; the rest is the stream.
#[derive(Arbitrary, Debug)]
struct Setup {
    deflate: Option<bool>,
    delivery: u8,
    small_limits: bool,
    piece: u8,
}

/// Bytes from a client.
pub fn frames_server(data: &[u8]) {
    frames(Role::Server, data);
}

/// Bytes from a server.
pub fn frames_client(data: &[u8]) {
    frames(Role::Client, data);
}

fn frames(role: Role, data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut input) else {
        return;
    };
    let stream = input.take_rest();
    let mut config = Config {
        delivery: DELIVERIES[usize::from(setup.delivery) % DELIVERIES.len()],
        ..Config::server()
    };
    if setup.small_limits {
        config = Config {
            max_message_size: 100,
            max_frame_size: 60,
            max_fragments: 4,
            max_control_rate: 4,
            ..config
        };
    }
    let parameters = setup
        .deflate
        .map(|takeover| if takeover { TAKEOVER } else { NO_TAKEOVER });
    let whole = Outcome::of(role, &config, parameters, [stream]);
    let piece = usize::from(setup.piece) + 1;
    whole.assert_same(&Outcome::of(role, &config, parameters, stream.chunks(piece)));

    let [messages, chunks, frames] = DELIVERIES.map(|delivery| {
        let config = Config {
            delivery,
            ..config.clone()
        };
        Outcome::of(role, &config, parameters, [stream])
    });
    for other in [chunks, frames] {
        messages.assert_same_error(&other);
        assert_eq!(messages.heard, join_messages(other.heard));
    }
}
