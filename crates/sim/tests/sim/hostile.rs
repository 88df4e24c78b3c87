//! Whatever is typed, named or sent: an answer, never a panic.

use playground_sim::image::Reference;
use playground_sim::shell;
use proptest::prelude::*;

use crate::world::{World, container, run_in};

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
    fn any_bytes_may_be_sent_to_a_server(data in proptest::collection::vec(any::<u8>(), 0..200), image in prop_oneof!["nginx", "redis", "rabbitmq", "mongo"]) {
        let mut world = World::new();
        world.run_pod("server", container(&image));
        let port = match image.as_str() {
            "nginx" => 80,
            "redis" => 6379,
            "rabbitmq" => 5672,
            _ => 27017,
        };
        let node = world.node.clone();
        world.wait(async move {
            let stream = node.dial([10, 244, 0, 2].into(), port).await.ok()?;
            stream.write_all(&data).await.ok()?;
            stream.shutdown();
            stream.fd().read_to_end().await.ok()
        });
    }
}

#[test]
fn python_ends_with_an_error_and_not_with_the_world() {
    let mut wrong = Vec::new();
    // A program, and the error with which it ends, if it does.
    let mut ends = |program: &str, with: &str| {
        let (_, errors, code) = run_in("sh", "python3", program);
        let last = errors.lines().last().unwrap_or_default();
        let shown: String = program.chars().take(80).collect();
        if (last.split(':').next().unwrap_or_default().trim(), code) != (with, i32::from(!with.is_empty())) {
            wrong.push(format!("{shown}: {with:?}, not {errors}"));
        }
    };
    // Depth: of the program's text, of what it evaluates, of its calls.
    ends(&format!("print({}1)", "1+".repeat(50_000)), "");
    ends(&format!("x = 1{}", " or 1".repeat(50_000)), "");
    ends(&format!("x = []\nx{}", "[0]".repeat(50_000)), "IndexError");
    ends(&format!("x = []{}", ".a".repeat(50_000)), "AttributeError");
    ends(&format!("x = {}1", "-".repeat(50_000)), "SyntaxError");
    ends(&format!("x = {}1", "not ".repeat(50_000)), "SyntaxError");
    ends(&format!("x = {}1", "2**".repeat(50_000)), "SyntaxError");
    ends(&format!("x = {}", "(".repeat(50_000)), "SyntaxError");
    ends(&format!("x = {}", "[".repeat(50_000)), "SyntaxError");
    ends(&format!("x = {}", "f(".repeat(50_000)), "SyntaxError");
    ends(&format!("x = {}", "{1:".repeat(50_000)), "SyntaxError");
    ends(&format!("x = {}1", "1 if 1 else ".repeat(50_000)), "SyntaxError");
    ends(&(0..1000).map(|depth| " ".repeat(depth) + "if 1:\n").collect::<String>(), "SyntaxError");
    ends("def f(n): return f(n)\nf(1)", "RecursionError");
    ends(&format!("def f(n): return {}f(n)\nf(1)", "- ".repeat(50)), "RecursionError");
    ends(&format!("def f(n): return {}f(n){}\nf(1)", "[(".repeat(20), ")]".repeat(20)), "RecursionError");
    ends("def f(n=f(1)): return f()\nf()", "RecursionError");
    ends("def f():\n for x in [1]:\n  if 1:\n    print([f() for y in [1]])\nf()", "RecursionError");
    // Depth of values.
    ends(
        "for i in range(10**18): break\nprint(len(range(0, 10**7, 3)), 9 in range(0, 10, 3), list(range(5, 0, -2)))",
        "",
    );
    ends("n = 0\nfor i in range(10**5): n += 1\nassert n == 10**5 and sum(range(10**5)) == 4999950000", "");
    ends("list(range(10**9))", "MemoryError");
    ends("a = []\nfor i in range(50000): a = [a]\na = 1", "");
    ends("a = ()\nfor i in range(50000): a = (a,)\na = 1", "");
    ends("a = {}\nfor i in range(5000): a = {1: a}\na = 1", "");
    ends("a = b = []\n", "SyntaxError");
    ends("a = []\nfor i in range(200): a = [a]\nprint(a)", "RecursionError");
    ends("a = []\nfor i in range(200): a = [a]\nprint(a == [a])", "RecursionError");
    ends("import json\na = []\nfor i in range(200): a = [a]\nprint(json.dumps(a))", "RecursionError");
    ends("a = []\nb = []\nfor i in range(200):\n a = [a]\n b = [b]\nprint(a == b)", "RecursionError");
    ends("a = []\nb = []\nfor i in range(200):\n a = [a]\n b = [b]\nprint(a < b)", "RecursionError");
    ends("a = ()\nfor i in range(200): a = (a,)\nd = {a: 1}", "RecursionError");
    // Values that hold themselves, and keys that change.
    ends("a = []\na.append(a)\na == a", "NotImplementedError");
    ends("a = [1]\nb = [a]\na[0] = {1: (b,)}", "NotImplementedError");
    ends("d = {}\nd[1] = d", "NotImplementedError");
    ends("d = {}\nd[d] = 1\nd[d] = 2", "TypeError");
    ends("d = {(1, [2]): 3}", "TypeError");
    ends("a = [1]\nm = a.append", "AttributeError");
    // Width, and memory.
    ends("a = []\nfor i in range(30): a = [a, a, a]\nprint(a)", "MemoryError");
    ends("a = []\nb = []\nfor i in range(30):\n a = [a, a]\n b = [b, b]\nprint(a == b)", "NotImplementedError");
    ends("a = []\nfor i in range(30): a = [a, a]\n[].append(a)", "NotImplementedError");
    ends("a = [1]\nfor i in range(40): a = a + a", "MemoryError");
    ends("s = 'a'\nfor i in range(40): s = f'{s}{s}'", "MemoryError");
    ends("s = ('a' * 1000000).replace('a', 'b' * 1000000)", "MemoryError");
    ends("s = 'a' * 1000000\ns = s.join([s, s])", "MemoryError");
    ends("s = 'a' * 1000000\ns = '{0}{0}{0}'.format(s)", "MemoryError");
    ends("s = 'a' * 1000000\ns = '%s%s%s' % (s, s, s)", "MemoryError");
    ends("a = []\nfor i in range(1000): a.append('a' * 1000000)", "MemoryError");
    ends("a = []\nfor i in range(1000): a.append(ValueError('a' * 1000000))", "MemoryError");
    ends("a = []\nfor i in range(1000): a.append([1] + list(range(100000)))", "MemoryError");
    ends("a = [1]\nfor x in a: a.append(x)", "MemoryError");
    ends("list(range(1000000000))", "MemoryError");
    ends(&"#".repeat(2_000_000), "MemoryError");
    // Order.
    ends("a = sorted([1, 'a'] * 1)", "TypeError");
    ends("a = []\nfor i in range(50):\n a.append(i)\n a.append(str(i))\nsorted(a)", "TypeError");
    ends("n = float('nan')\na = []\nfor i in range(99):\n a.append(50 - i)\n a.append(n)\nsorted(a)\nmin(a)", "");
    // What is all right goes on.
    ends("a = []\nfor i in range(3000): a.append([i])\nassert sorted(a)[-1][0] == 2999", "");
    ends("for i in range(300):\n s = 'a' * 1000000", "");
    ends("import os\nfor i in range(3):\n  if i % 2 == 0:\n    print(f\"{i}: {os.environ.get(str(i), 7)}\")", "");
    ends("import sys; print(undefined)", "NameError");
    ends("try:\n a = 'a' * 10000000\nexcept MemoryError as e:\n print(e)", "");
    ends("def f(n):\n if n == 0: return 0\n return 1 + f(n - 1)\nassert f(10) == 10", "");
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_mongo_shell_peels_what_is_printed() {
    let mut world = World::new();
    let script = "mongod & sleep 1; \
                  mongosh --eval \"$(printf 'print(%.0s' $(seq 20000))\"; \
                  mongosh --eval 'print(print(db.runCommand({ping: 1}).ok))'";
    let config = kubelet::runtime::ContainerConfig {
        command: vec!["sh".into(), "-c".into(), script.into()],
        ..container("mongo:8")
    };
    let (_, id) = world.run_pod("mongo", config);
    world.settle();
    world.settle();
    let log = world.log(&id);
    assert!(
        log.contains("does not know") && log.ends_with("1\n"),
        "{}",
        log.chars().rev().take(300).collect::<String>()
    );
}
