//! Scripts: what they print and how they end.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not see as tests")]

mod world;

use std::collections::BTreeMap;

use playground_sim::fs::{Fs, Tree};
use playground_sim::image::Base;
use playground_sim::io::Fd;
use playground_sim::process::{Machine, MachineConfig, Spawn};
use world::World;

fn machine(world: &World) -> Machine {
    let root = Tree::over(Base::Workstation.layer(world.now())).share();
    Machine::new(MachineConfig {
        executor: world.executor.clone(),
        fs: Fs::new(root, false),
        interface: world.host.clone(),
        hostname: "desk".into(),
        first_pid: 100,
        memory_bytes_max: None,
        cpu_nano_cores_max: None,
        rng: machinery::random::Rng::new(3),
    })
}

fn run_with(script: &str, input: &str) -> (String, String, i32) {
    let mut world = World::new();
    let machine = machine(&world);
    let (stdout, out) = Fd::buffer();
    let (stderr, err) = Fd::buffer();
    let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin".to_owned()), ("HOME".to_owned(), "/root".to_owned())]);
    let args = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let found = machine.find(&args, &env, "/").unwrap();
    let child = machine.spawn(Spawn {
        program: found.program,
        args,
        env,
        cwd: "/root".into(),
        uid: 0,
        gid: 0,
        fds: BTreeMap::from([(0, Fd::from_bytes(input.to_owned())), (1, stdout), (2, stderr)]),
        parent: 0,
        group: None,
    });
    let code = world.wait(async move { child.wait().await });
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    (text(&out.borrow()), text(&err.borrow()), code)
}

fn run(script: &str) -> (String, String, i32) {
    run_with(script, "")
}

/// Scripts that succeed, with what they print.
fn check(cases: &[(&str, &str)]) {
    for (script, expected) in cases {
        let (out, err, code) = run(script);
        assert_eq!((out.as_str(), err.as_str(), code), (*expected, "", 0), "{script}");
    }
}

#[test]
fn words_are_expanded() {
    check(&[
        ("echo hello   world", "hello world\n"),
        ("echo 'a  b' \"c  d\" e\\ f", "a  b c  d e f\n"),
        ("x=1; echo $x ${x} \"${x}2\" '$x'", "1 1 12 $x\n"),
        ("x='a b'; set -- $x; echo $#; set -- \"$x\"; echo $#", "2\n1\n"),
        ("echo ${nope:-default} ${nope-} ${#HOME}", "default 5\n"),
        ("f=archive.tar.gz; echo ${f%.*} ${f%%.*} ${f#*.} ${f##*.}", "archive.tar archive tar.gz gz\n"),
        ("x=hello; echo ${x:1:3} ${x/l/L} ${x//l/L}", "ell heLlo heLLo\n"),
        ("echo $(echo a; echo b) `echo c`", "a b c\n"),
        ("echo \"$(printf 'a\\nb')\"", "a\nb\n"),
        ("echo $((1 + 2 * 3)) $(( (1+2) * 3 ))", "7 9\n"),
        ("i=5; echo $((i++)) $i", "5 6\n"),
        ("set -- a 'b c' d; for x in \"$@\"; do echo \"<$x>\"; done", "<a>\n<b c>\n<d>\n"),
        ("set -- a b; echo \"$*\" $2 ${#}", "a b b 2\n"),
        ("IFS=:; x=a:b:c; for p in $x; do echo $p; done", "a\nb\nc\n"),
        ("cd /tmp; touch b.txt a.txt c.log; echo *.txt; echo *.none", "a.txt b.txt\n*.none\n"),
        ("echo ~ ~/x \"~\"", "/root /root/x ~\n"),
        ("x=; echo \"[${x:-empty}]\" \"[${x-unset}]\" ${x:+set}", "[empty] []\n"),
        ("echo $'a\\tb'", "a\tb\n"),
        ("echo a#b # comment", "a#b\n"),
        ("echo one \\\n two", "one two\n"),
    ]);
}

#[test]
fn commands_are_composed() {
    check(&[
        ("true && echo yes || echo no; false && echo yes || echo no", "yes\nno\n"),
        ("if [ 1 -lt 2 ]; then echo less; else echo more; fi", "less\n"),
        ("if false; then echo a; elif test -d /etc; then echo b; fi", "b\n"),
        ("for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done", "1\n3\n"),
        ("i=0; while [ $i -lt 3 ]; do echo $i; i=$((i+1)); done", "0\n1\n2\n"),
        ("until [ \"$x\" = aaa ]; do x=a$x; done; echo $x", "aaa\n"),
        ("while true; do while true; do break 2; done; done; echo out", "out\n"),
        ("case foo.yaml in *.json) echo j;; *.yml|*.yaml) echo y;; *) echo other;; esac", "y\n"),
        ("greet() { local who=$1; echo \"hi $who\"; return 3; }; greet you; echo $? $who", "hi you\n3\n"),
        ("(cd /tmp; x=1); echo $PWD $x", "/root\n"),
        ("{ echo a; echo b; } | sort -r", "b\na\n"),
        ("! false; echo $?", "0\n"),
        ("echo a | cat | cat; seq 3 | while read n; do echo \"n=$n\"; done", "a\nn=1\nn=2\nn=3\n"),
        ("sleep 1 & wait $!; echo done $?", "done 0\n"),
        ("(exit 3) & wait $!; echo $?", "3\n"),
        ("eval 'x=5; echo $x'", "5\n"),
        ("trap 'echo bye' EXIT; echo hi", "hi\nbye\n"),
        ("trap 'echo got' USR1; kill -USR1 $$; echo after", "got\nafter\n"),
        ("set -e; false || true; if false; then :; fi; echo on", "on\n"),
        ("f() { f2; }; f2() { echo deep; }; f", "deep\n"),
        ("yes | head -n 2", "y\ny\n"),
    ]);
}

#[test]
fn redirections_and_here_documents() {
    check(&[
        ("echo a >/tmp/f; echo b >>/tmp/f; cat </tmp/f; wc -l </tmp/f", "a\nb\n2\n"),
        ("ls /nope 2>/dev/null || echo failed", "failed\n"),
        ("ls /nope 2>&1 | grep -c 'No such file'", "1\n"),
        ("x=1; cat <<EOF\nx is $x\n\\$x $(echo sub)\nEOF\necho after", "x is 1\n$x sub\nafter\n"),
        ("cat <<'EOF'\n$x\nEOF", "$x\n"),
        ("cat <<-EOF\n\tindented\n\tEOF", "indented\n"),
        ("cat <<A; cat <<B\none\nA\ntwo\nB", "one\ntwo\n"),
        ("cat <<<word", "word\n"),
        ("exec 3>/tmp/g; echo three >&3; exec 3>&-; cat /tmp/g", "three\n"),
        ("{ echo out; echo err >&2; } 2>/dev/null", "out\n"),
        ("echo x | tee /tmp/t >/dev/null; cat /tmp/t", "x\n"),
    ]);
}

#[test]
fn failures_have_the_shells_words_and_codes() {
    let cases = [
        ("nope", "sh: nope: not found\n", 127),
        ("/etc/passwd", "sh: /etc/passwd: Permission denied\n", 126),
        ("cat /nope", "cat: can't open '/nope': No such file or directory\n", 1),
        ("exit 7", "", 7),
        ("false", "", 1),
        ("set -e; false; echo not reached", "", 1),
        ("set -u; echo $nope", "sh: nope: parameter not set\n", 2),
        ("echo ${x:?is needed}", "sh: x: is needed\n", 2),
        ("if true; then echo", "sh: syntax error: unexpected end of file\n", 2),
        ("done", "sh: syntax error: unexpected \"done\"\n", 2),
        ("echo 'open", "sh: syntax error: unterminated quoted string\n", 2),
        ("echo $((1/0))", "sh: divide by zero\n", 2),
        ("cd /nope", "sh: cd: can't cd to /nope: No such file or directory\n", 2),
        ("echo x > /nope/file", "sh: can't create /nope/file: nonexistent directory\n", 1),
        ("kill -9 $$", "", 137),
        ("sh -c 'kill $$'; exit $?", "", 143),
        ("timeout 1 sleep 10", "", 143),
        ("f() { f; }; f", "sh: maximum recursion depth exceeded\n", 2),
        ("[ a -eq 1 ]", "[: a: bad number\n", 2),
    ];
    for (script, message, expected) in cases {
        let (_, err, code) = run(script);
        assert_eq!((err.as_str(), code), (message, expected), "{script}");
    }
}

#[test]
fn hostile_text_never_panics() {
    let nested = ["(", "$(", "{ ", "if ", "$((", "\"$(", "`"].map(|open| open.repeat(5000));
    for script in nested.iter().map(String::as_str).chain([
        "$",
        "${",
        "${}",
        "<<",
        "<<<",
        "&&",
        ";;",
        "case x in",
        "\\",
        "$'",
        ">&",
    ]) {
        let (_, _, code) = run(script);
        assert!(code >= 0, "{script}");
    }
}

#[test]
fn an_endless_loop_lets_time_pass() {
    let (out, _, code) = run("(while :; do :; done) & sleep 1; kill $!; wait $!; echo $?");
    assert_eq!((out.as_str(), code), ("143\n", 0));
}

#[test]
fn tools_read_and_write_text() {
    check(&[
        ("printf '%s=%d\\n' a 1 b 2", "a=1\nb=2\n"),
        ("printf '%05.1f|%-4s|%4s|%x\\n' 3.14159 ab cd 255", "003.1|ab  |  cd|ff\n"),
        ("echo -n x; echo -e 'a\\tb'", "xa\tb\n"),
        ("seq 5 | head -n 2; seq 5 | tail -n 2; seq 10 | tail -n +9", "1\n2\n4\n5\n9\n10\n"),
        ("printf 'b\\na\\nb\\n' | sort -u; printf '10\\n9\\n' | sort -n", "a\nb\n9\n10\n"),
        ("printf 'a\\na\\nb\\n' | uniq -c", "      2 a\n      1 b\n"),
        ("echo a:b:c | cut -d: -f2-; echo hello | cut -c1-2", "b:c\nhe\n"),
        ("echo hello | tr a-z A-Z; echo aabb | tr -d a; echo 'a  b' | tr -s ' '", "HELLO\nbb\na b\n"),
        ("echo hi | base64; echo aGkK | base64 -d", "aGkK\nhi\n"),
        ("printf 'one\\ntwo\\nthree\\n' | grep -n t; echo abc | grep -q b && echo found", "2:two\n3:three\nfound\n"),
        (
            "printf 'a1\\nb2\\n' | grep -E '^[a-z]1$'; printf 'a+b\\n' | grep 'a+b'; echo x.y | grep -o '[a-z]$'",
            "a1\na+b\ny\n",
        ),
        ("echo hello world | sed 's/world/there/; s/l/L/g'", "heLLo there\n"),
        ("seq 4 | sed -n '2,3p'; seq 3 | sed '2d'; echo ab | sed 's/\\(a\\)\\(b\\)/\\2\\1/'", "2\n3\n1\n3\nba\n"),
        ("echo 'a b c' | wc -w; printf 'x y\\n' | xargs -n1 echo got", "3\ngot x\ngot y\n"),
        ("mkdir -p /tmp/d/e; touch /tmp/d/f.txt; find /tmp/d -name '*.txt'; ls /tmp/d", "/tmp/d/f.txt\ne\nf.txt\n"),
        ("echo 1 >/tmp/a; cp /tmp/a /tmp/b; mv /tmp/b /tmp/c; cat /tmp/c; rm /tmp/c; ls /tmp", "1\na\n"),
        (
            "ln -s /etc/passwd /tmp/p; head -n1 /tmp/p; readlink /tmp/p",
            "root:x:0:0:root:/root:/bin/bash\n/etc/passwd\n",
        ),
        ("echo x >/tmp/s; chmod 750 /tmp/s; ls -l /tmp/s | cut -c1-10", "-rwxr-x---\n"),
        ("printf '#!/bin/sh\\necho script $1\\n' >/tmp/s; chmod +x /tmp/s; /tmp/s arg", "script arg\n"),
        (
            "date -u +%Y-%m-%d; hostname; whoami; id -u; basename /a/b.c .c; dirname /a/b",
            "2026-01-01\ndesk\nroot\n0\nb\n/a\n",
        ),
        (
            "mkdir -p /tmp/t/in /tmp/u; echo deep >/tmp/t/in/f; ln -s f /tmp/t/in/l; chmod 640 /tmp/t/in/f; cd /tmp; \
             tar cf - t | tar -xmf - -C /tmp/u; cat u/t/in/l; ls -l u/t/in/f | cut -c1-10; tar cf a.tar t/in; \
             tar tf a.tar; tar xOf a.tar t/in/f",
            "deep\n-rw-r-----\nt/in/\nt/in/f\nt/in/l\ndeep\n",
        ),
        ("env -i A=1 env; X=2 env | grep ^X", "A=1\nX=2\n"),
        ("a=1; sleep 2; echo $(date +%S)", "02\n"),
        ("which ls; command -v cd; type true", "/usr/bin/ls\ncd\ntrue is a shell builtin\n"),
        ("test -f /etc/passwd -a ! -d /etc/passwd && echo both; [ abc = abc ] && [ -z \"\" ]; echo $?", "both\n0\n"),
    ]);
}

#[test]
fn input_is_read_line_by_line() {
    let (out, _, _) = run_with("read a b; read c; echo \"$b|$a|$c\"; cat", "one two three\nfour\nrest\n");
    assert_eq!(out, "two three|one|four\nrest\n");
}

#[test]
fn the_network_is_reached_by_name_or_refused() {
    let cases = [
        (
            "curl http://localhost:9",
            "curl: (7) Failed to connect to localhost port 9 after 0 ms: Couldn't connect to server\n",
            7,
        ),
        ("curl http://nope.example", "curl: (6) Could not resolve host: nope.example\n", 6),
        ("wget -qO- http://nope", "wget: bad address 'nope'\n", 1),
        (
            "curl -m 2 http://10.9.9.9",
            "curl: (28) Operation timed out after 2000 milliseconds with 0 bytes received\n",
            28,
        ),
        ("curl", "curl: (2) no URL specified\ncurl: try 'curl --help' or 'curl --manual' for more information\n", 2),
    ];
    for (script, message, expected) in cases {
        let (_, err, code) = run(script);
        assert_eq!((err.as_str(), code), (message, expected), "{script}");
    }
    check(&[(
        "printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi' | nc -l -p 8000 >/dev/null & sleep 0.1; curl -s localhost:8000",
        "hi",
    )]);
}

/// A shell whose script comes on standard input.
#[test]
fn commands_on_standard_input_run_one_by_one() {
    let piped = |script: &str| run_with("sh", script);
    assert_eq!(
        piped("echo a\nread x\nb c\necho \"<$x>\"\nif true; then\n  echo d\nfi\nexit 3\necho e\n").0,
        "a\n<b c>\nd\n"
    );
    assert_eq!(piped("echo one \\\n two\necho three").0, "one two\nthree\n");
    assert_eq!(piped("exit 4").2, 4);
    let (out, err, code) = piped("echo a\nif true; then\n");
    assert_eq!((out.as_str(), code), ("a\n", 2), "{err}");
}
