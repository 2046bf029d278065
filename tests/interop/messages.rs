//! What Sockeye's client sends, as the peers' clients do.

use sockeye::{Message, WebSocket};

/// Text and binary messages: empty, short, and long ones that repeat themselves at distances from a few bytes to
/// more than 32 KiB, so that a compressor or decompressor with the wrong window is found out.
pub(crate) fn messages() -> Vec<Message> {
    let noise = pseudo_random_bytes(40_000);
    vec![
        Message::text(""),
        Message::text("hello"),
        Message::text("héllo, 世界 🐟"),
        Message::binary(Vec::new()),
        Message::binary((0..=255).collect::<Vec<u8>>()),
        Message::text("Sockeye swims both ways. 红鲑鱼两个方向都游。 ".repeat(2_500)),
        Message::binary([&noise[..], &noise[..300], &noise[..]].concat()),
        Message::text("hello"),
    ]
}

/// Sends every message, each after the echo of the one before.
pub(crate) async fn converse(ws: &mut WebSocket, peer: &str) {
    for (number, message) in messages().into_iter().enumerate() {
        ws.send(message.clone()).await.expect("the connection is open");
        let echo = ws.recv().await.expect("the connection works");
        assert!(
            echo == Some(message),
            "{peer} echoed message {number} differently"
        );
    }
}

/// A small linear congruential generator: the same bytes in every run.
fn pseudo_random_bytes(length: usize) -> Vec<u8> {
    let states = std::iter::successors(Some(1_u32), |state| {
        Some(state.wrapping_mul(1_103_515_245).wrapping_add(12_345))
    });
    states
        .skip(1)
        .map(|state| state.to_be_bytes()[1])
        .take(length)
        .collect()
}
