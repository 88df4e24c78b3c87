//! Whatever is typed, kubectl answers.

use proptest::prelude::*;

use crate::common::World;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_words(words in proptest::collection::vec("(get|apply|config|-o|-f|--|-[a-z]{1,3}|--[a-z=]{1,8}|\\PC{0,6})", 0..6)) {
        let world = World::alone();
        world.run(&words.join(" "));
        world.complete(&format!("kubectl {}", words.join(" ")));
    }

    #[test]
    fn any_template(template in "(\\{\\{[ a-z.$|()\":=0-9-]{0,12}\\}\\}|\\PC{0,4}|\\{[.a-z\\[\\]@?*:0-9'\"]{0,10}\\}){0,5}") {
        let world = World::new();
        world.run(&format!("get ns default -o go-template='{template}'"));
        world.run(&format!("get ns default -o jsonpath='{template}'"));
        world.run(&format!("get ns -o custom-columns='A:{template}'"));
    }

    #[test]
    fn any_manifest(text in "([a-z]{1,5}: ([a-z0-9]{0,4}|\\[1\\]|\\{a: b\\})\n|apiVersion: v1\n|kind: (Pod|List|Service)\n|metadata: .{0,5}\n|---\n){0,8}") {
        let world = World::new();
        world.file("x.yaml", &text);
        world.run("apply -f x.yaml");
        world.run("set image --local -f x.yaml a=b -o yaml");
        world.file("/home/learner/.kube/config", &text);
        world.run("config view");
        world.run("config set-context a --cluster=b");
    }
}
