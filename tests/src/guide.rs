//! The code in the guide and in the README, compiled and run as documentation tests.

macro_rules! chapters {
    ($($name:ident $path:literal),* $(,)?) => {$(
        #[doc = include_str!(concat!("../../", $path))]
        pub mod $name {}
    )*};
}

chapters! {
    api_table "docs/src/reference/api-table.md",
    bench "docs/src/bench.md",
    benchmark "docs/src/reference/benchmark.md",
    client "docs/src/client.md",
    compression "docs/src/compression.md",
    connect "docs/src/connect.md",
    engine "docs/src/engine.md",
    from_tokio_tungstenite "docs/src/coming-from/tokio-tungstenite.md",
    from_uwebsockets "docs/src/coming-from/uwebsockets.md",
    from_websocket_node "docs/src/coming-from/websocket-node.md",
    from_ws "docs/src/coming-from/ws.md",
    getting_started "docs/src/getting-started.md",
    glue "docs/src/glue.md",
    introduction "docs/src/introduction.md",
    limits "docs/src/limits.md",
    measurements "docs/src/reference/measurements.md",
    operating "docs/src/operating.md",
    program "docs/src/program.md",
    readme "README.md",
    reconnect "docs/src/reconnect.md",
    server "docs/src/server.md",
    tls "docs/src/tls.md",
    topics "docs/src/topics.md",
    traps "docs/src/reference/traps.md",
    unsafe_code "docs/src/reference/unsafe.md",
    uwebsockets "docs/src/reference/uwebsockets.md",
    web "docs/src/web.md",
    websocket "docs/src/websocket.md",
    whatwg "docs/src/reference/whatwg.md",
}
