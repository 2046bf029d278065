//! Messages larger than memory: what is streamed is not gathered. The peak is that of the allocator, so that this fact
//! has a process of its own.

use peak_alloc::PeakAlloc;
use sockeye::server::Route;
use sockeye::{Client, Config, Delivery, HandlerResult, MessageKind, Server, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// One message, in bytes, each way.
const SIZE: usize = 256 << 20;

/// Buffers of sockets, queues and copies included.
const MOST: usize = 8 << 20;

const LIMITS: Config = Config {
    delivery: Delivery::Chunks,
    max_message_size: u64::MAX,
    max_fragments: u32::MAX,
    message_timeout: None,
    ..Config::server()
};

/// Sends back what comes, as it comes.
async fn echo(mut ws: WebSocket) -> HandlerResult {
    let sender = ws.sender();
    while let Some(mut message) = ws.recv_reader().await? {
        let mut answer = sender.message_writer(message.kind()).await?;
        tokio::io::copy_buf(&mut message, &mut answer).await?;
        answer.shutdown().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_message_of_any_size_is_streamed_in_constant_memory() {
    let server = Server::builder()
        .route_with("/", Route::new(echo).limits(LIMITS))
        .bind("127.0.0.1:0")
        .listen()
        .await
        .unwrap();
    let address = server.addresses()[0].clone();
    tokio::spawn(server.serve());
    let client = Client::builder().limits(LIMITS).build().unwrap();
    let mut ws = client.connect(format!("ws://{address}/")).await.unwrap();
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();

    let sender = ws.sender();
    let sending = tokio::spawn(async move {
        let mut message = sender.message_writer(MessageKind::Binary).await.unwrap();
        let source = tokio::io::repeat(7).take(SIZE as u64);
        tokio::io::copy(&mut { source }, &mut message).await.unwrap();
        message.shutdown().await.unwrap();
    });
    let mut message = ws.recv_reader().await.unwrap().unwrap();
    let (mut piece, mut received) = (vec![0; 64 * 1024], 0);
    loop {
        let count = message.read(&mut piece).await.unwrap();
        if count == 0 {
            break;
        }
        assert!(piece[..count].iter().all(|&byte| byte == 7));
        received += count;
    }
    assert_eq!(received, SIZE);
    sending.await.unwrap();
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(peak < MOST, "{peak} bytes");
}
