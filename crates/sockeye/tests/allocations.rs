//! What messages cost in allocations, over real sockets. The count is that of the allocator, so that this fact has a
//! process of its own.

use allocation_counter::measure;
use sockeye::{CloseCode, HandlerResult, Server, WebSocket};

async fn echo(mut ws: WebSocket) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

async fn round_trips(ws: &mut WebSocket, count: usize) {
    for i in 0..count {
        let size = [1, 20, 125, 126, 500, 1000][i % 6];
        ws.send(&[7; 1000][..size]).await.unwrap();
        let answer = ws.recv().await.unwrap().unwrap();
        assert_eq!(answer.len(), size);
        ws.send("a text of some length").await.unwrap();
        let answer = ws.recv().await.unwrap().unwrap();
        assert_eq!(answer.as_text(), Some("a text of some length"));
    }
}

async fn bursts(ws: &mut WebSocket, count: usize) {
    for _ in 0..count {
        for _ in 0..30 {
            ws.send(&[7; 20]).await.unwrap();
        }
        for _ in 0..30 {
            assert_eq!(ws.recv().await.unwrap().unwrap().len(), 20);
        }
    }
}

#[test]
fn small_messages_cost_no_allocation_on_either_side() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut ws = runtime.block_on(async {
        let server = Server::builder()
            .route("/", echo)
            .bind("127.0.0.1:0")
            .listen()
            .await
            .unwrap();
        let address = server.addresses()[0].clone();
        tokio::spawn(server.serve());
        let mut ws = sockeye::connect(format!("ws://{address}/")).await.unwrap();
        round_trips(&mut ws, 100).await;
        bursts(&mut ws, 100).await;
        ws
    });
    // Client and server run in this thread.
    let cost = measure(|| runtime.block_on(round_trips(&mut ws, 1000)));
    assert_eq!(cost.count_total, 0, "{cost:?}");
    // How a burst is cut into reads is up to the system, so that now and then a queue is larger than any before.
    let cost = measure(|| runtime.block_on(bursts(&mut ws, 100)));
    assert!(cost.count_total <= 10, "{cost:?}");
    runtime.block_on(async { ws.close(CloseCode::NORMAL, "").await.unwrap() });
}
