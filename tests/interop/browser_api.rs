//! The example of the browser's API with other libraries' servers.

use tokio::process::Command;

use crate::peer::{Library, Peer};

#[tokio::test]
async fn the_example_goes_through_all_events() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/browser_api.rs");
    let size = include_str!("browser_api.rs").len();
    let buffered = "hello server".len() + size + 64_000;
    for library in Library::SERVERS {
        let (mut server, url) = Peer::server(library, &[]).await;
        let output = Command::new(env!("CARGO_BIN_EXE_browser_api"))
            .args([&url, file])
            .output();
        let output = output.await.expect("the example runs");
        assert!(output.status.success(), "{library:?}: {output:?}");
        let printed = String::from_utf8_lossy(&output.stdout);
        // WebSocket-Node answers a Close with its code alone.
        let reason = if library == Library::WebSocketNode {
            ""
        } else {
            "done"
        };
        let want = [
            "readyState 0".to_owned(),
            format!("open, bufferedAmount {buffered}"),
            "message Text(\"hello server\")".to_owned(),
            format!("message Blob(Blob {{ size: {size}, type: \"\", .. }})"),
            "message Blob(Blob { size: 64000, type: \"\", .. })".to_owned(),
            format!("close 1000 {reason:?}"),
            "wasClean true".to_owned(),
            "readyState 3".to_owned(),
        ];
        assert_eq!(printed.lines().collect::<Vec<_>>(), want, "{library:?}");
        server.opened().await;
        assert_eq!(server.closed().await, (1000, "done".to_owned()), "{library:?}");
    }
}
