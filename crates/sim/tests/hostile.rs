//! Whatever is typed, named or sent: an answer, never a panic.

mod world;

use playground_sim::image::Reference;
use playground_sim::shell;
use proptest::prelude::*;
use world::{World, container};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_script_or_a_syntax_error(text in "[a-z0-9 \n$(){}\\[\\]\"'`\\\\;&|<>#*?=!~:/%+-]{0,60}") {
        let _ = shell::parse(&text);
    }

    #[test]
    fn any_text_is_a_reference_or_none(text in ".{0,40}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_may_be_sent_to_a_server(data in proptest::collection::vec(any::<u8>(), 0..200), image in prop_oneof!["nginx", "redis"]) {
        let mut world = World::new();
        world.run_pod("server", container(&image));
        let port = if image == "nginx" { 80 } else { 6379 };
        let node = world.node.clone();
        world.wait(async move {
            let stream = node.dial([10, 244, 0, 2].into(), port).await.ok()?;
            stream.write_all(&data).await.ok()?;
            stream.shutdown();
            stream.fd().read_to_end().await.ok()
        });
    }
}
