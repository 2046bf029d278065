//! permessage-deflate, in both directions.

use sockeye::proto::deflate::{Deflate, WindowBits};
use sockeye::{Client, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::peer::{Terms, URL, accepted, echo, handshake, pipe, read_request};

/// Text that refers back near and far, longer than every window.
fn text() -> String {
    (0..3000u32)
        .map(|i| format!("{} salmon, ", i.wrapping_mul(2_654_435_761) >> 22))
        .collect()
}

#[tokio::test]
async fn messages_are_compressed_both_ways_with_every_window() {
    let text = text();
    for bits in 8..=15 {
        let bits = WindowBits::new(bits).unwrap();
        for resets in [true, false] {
            let options = Deflate {
                server_no_context_takeover: resets,
                client_no_context_takeover: resets,
                server_max_window_bits: bits,
                client_max_window_bits: bits,
                ..Deflate::default()
            };
            let (near, far) = pipe();
            let terms = Terms {
                deflate: Some(Deflate::default()),
                ..Terms::default()
            };
            tokio::spawn(echo(far, terms));
            let client = Client::builder().compression(options).build().unwrap();
            let mut ws = client.handshake(near, URL).await.unwrap();
            let agreed = ws.negotiated_extensions().to_owned();
            assert!(agreed.starts_with("permessage-deflate"), "{agreed}");
            if bits < WindowBits::MAX {
                assert!(
                    agreed.contains(&format!("server_max_window_bits={bits}")),
                    "{agreed}"
                );
            }
            // The second message refers to the first one if windows are kept.
            for message in [&text, &text, "short", ""] {
                ws.send(message).await.unwrap();
                assert_eq!(ws.recv().await.unwrap(), Some(Message::from(message)), "{agreed}");
            }
        }
    }
}

#[tokio::test]
async fn only_a_message_that_gains_by_it_is_compressed() {
    let (near, mut far) = pipe();
    let client = Client::builder().compression(Deflate::default()).build().unwrap();
    let opening = tokio::spawn(async move { client.handshake(near, URL).await.unwrap() });
    let request = read_request(&mut far).await;
    let extension = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
    far.write_all(accepted(&request, extension).as_bytes())
        .await
        .unwrap();
    let ws = opening.await.unwrap();
    const RSV1: u8 = 0x40;
    // First byte, length, then a masking key of four bytes and the payload.
    ws.send("a".repeat(125)).await.unwrap();
    let mut header = [0; 2];
    far.read_exact(&mut header).await.unwrap();
    assert_eq!(header, [0x81, 0x80 | 125]);
    far.read_exact(&mut [0; 4 + 125]).await.unwrap();
    ws.send("a".repeat(1000)).await.unwrap();
    far.read_exact(&mut header).await.unwrap();
    assert_eq!(header[0], 0x81 | RSV1);
    assert!(header[1] & 0x7f < 30, "{header:?}");
}

#[tokio::test]
async fn a_server_without_compression_gets_plain_messages() {
    let (near, far) = pipe();
    tokio::spawn(echo(far, Terms::default()));
    let client = Client::builder().compression(Deflate::default()).build().unwrap();
    let mut ws = client.handshake(near, URL).await.unwrap();
    assert_eq!(ws.negotiated_extensions(), "");
    ws.send(text()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from(text())));
}

#[tokio::test]
async fn a_server_that_exceeds_the_offer_is_refused() {
    let options = Deflate {
        client_max_window_bits: WindowBits::new(10).unwrap(),
        ..Deflate::default()
    };
    let client = Client::builder().compression(options).build().unwrap();
    let answer = |request: &str| {
        accepted(
            request,
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_max_window_bits=11\r\n",
        )
    };
    let error = handshake(&client, answer).await.unwrap_err();
    assert!(error.to_string().contains("client_max_window_bits"), "{error}");
}
