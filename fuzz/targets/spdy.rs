//! SPDY/3.1 as a client of exec and port-forward sends it.
#![no_main]

// The server is a module of the native binary's.
#[allow(dead_code, unused_imports)]
#[path = "../../crates/playground/src/http/spdy/mod.rs"]
mod spdy;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let serving = spdy::serve(server, |mut streams| async move {
            while let Some(mut stream) = streams.recv().await {
                stream.writer.accept().await;
                while let Some(Some(data)) = stream.reader.recv().await {
                    stream.writer.send(data).await;
                }
                stream.writer.finish().await;
            }
        });
        let client = async {
            let _ = client.write_all(bytes).await;
            let _ = client.shutdown().await;
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer).await;
        };
        tokio::join!(serving, client);
    });
});
