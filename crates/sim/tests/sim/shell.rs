//! Scripts: what they print and how they end.

use crate::world::run_in;

fn run_with(script: &str, input: &str) -> (String, String, i32) {
    run_in("sh", script, input)
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
        ("false; rc=$?; echo $rc; x=$(exit 4); echo $?; false; y=1; echo $?", "1\n4\n0\n"),
        ("export A=$(echo one two); f() { local b=$(echo 3 4); echo \"$b\"; }; f; echo \"$A\"", "3 4\none two\n"),
        ("words='B=1 C=2'; export $words; echo $B$C", "12\n"),
        ("break; echo on; for i in 1 2; do break 9; done; echo off", "on\noff\n"),
        ("trap 'echo got' USR1; (sleep 1; kill -USR1 $$) & sleep 9 & wait $!; echo $?", "got\n138\n"),
        ("set -o pipefail; (exit 2) | (exit 3) | true; echo $?", "3\n"),
        (&format!("{}echo end", "true && ".repeat(500)), "end\n"),
    ]);
}

#[test]
fn what_has_no_end_lets_time_pass() {
    check(&[
        ("tr -dc a-z </dev/urandom | head -c 16 | wc -c", "16\n"),
        (
            "a=$(head -c 8 /dev/urandom | base64); b=$(head -c 8 /dev/urandom | base64); [ $a != $b ] && echo new",
            "new\n",
        ),
        ("head -c 4 /dev/zero | base64", "AAAAAA==\n"),
        ("timeout 1 seq 1 1000000000 >/dev/null; echo $?", "124\n"),
        ("timeout 1 tee /dev/null </dev/zero >/dev/null; echo $?", "124\n"),
        ("(echo now; sleep 5; echo late) | grep -n . | (read line; echo $line)", "1:now\n"),
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
        ("timeout 1 sleep 10", "", 124),
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
fn whoever_walks_through_all_folders_comes_to_an_end() {
    check(&[
        ("find / -name passwd", "/etc/passwd\n"),
        ("du -s / | wc -l", "1\n"),
        ("ls -R / > /dev/null && echo done", "done\n"),
        ("grep -c root:x /proc/$$/root/etc/passwd", "1\n"),
        ("grep -rl root:x:0:0 / 2>/dev/null | grep etc", "/etc/passwd\n"),
        ("cat $(printf '/proc/1/root%.0s' $(seq 5000))/etc/passwd 2>&1 | tail -c 19", "File name too long\n"),
        ("cat /proc/$$/root/proc/$$/root/etc/passwd 2>&1 | tail -c 26", "No such file or directory\n"),
        ("cd /tmp; ln -s a/x a; cat a/x/y 2>&1; true", "cat: a/x/y: Too many levels of symbolic links\n"),
        (
            "mkdir -p /tmp$(printf '/d%.0s' $(seq 3000)) 2>&1 | tail -c 19; find /tmp | tail -1 | wc -c",
            "File name too long\n403\n",
        ),
    ]);
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
        ("seq 9 | grep -A1 -B1 -n '[26]'; seq 9 | grep -m2 -c .", "1-1\n2:2\n3-3\n--\n5-5\n6:6\n7-7\n2\n"),
        ("seq 3 | grep -A 99999999999999999999 2; seq 3 | grep -A 18446744073709551615 2", "2\n2\n3\n"),
        ("cd /tmp; mkdir -p q/r s; echo 1 >m; mv m m; mv m .; cat m; find q/r s q -maxdepth 0", "1\nq/r\ns\nq\n"),
        ("cd /tmp; echo 1 >n; ln -s n o; cp o p; echo 2 >n; cat p", "1\n"),
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

#[test]
fn bash_has_its_own_words() {
    let cases = [
        ("echo {a,b}{1,2} x{3..1} {08..10} '{a,b}' {a} a{,b}", "a1 a2 b1 b2 x3 x2 x1 08 09 10 {a,b} {a} a ab\n"),
        ("[[ abc == a* && ! -e /nope ]] && echo yes", "yes\n"),
        ("x='a b'; [[ $x == 'a b' && -n $x && 10 -gt 9 ]] && echo yes", "yes\n"),
        ("[[ a == 'a*' ]] || echo literal", "literal\n"),
        ("[[ foo123 =~ ^(foo)([0-9]+)$ ]] && echo ${BASH_REMATCH[2]} ${BASH_REMATCH[0]}", "123 foo123\n"),
        ("(( 3 > 2 )) && echo yes; (( x = 4 * 2 )); echo $x; let y=x+1; echo $y", "yes\n8\n9\n"),
        ("for ((i = 0; i < 3; i++)); do echo -n $i; done; echo", "012\n"),
        (
            "a=(one 'two words' three); echo ${a[1]} ${#a[@]} ${a[-1]}; a+=(four); echo ${#a[@]}",
            "two words 3 three\n4\n",
        ),
        (
            "a=(1 2 3); for x in \"${a[@]}\"; do echo -n \"<$x>\"; done; echo ${a[@]:1:2} ${!a[@]}",
            "<1><2><3>2 3 0 1 2\n",
        ),
        ("a=(x y); a[5]=z; unset 'a[0]'; echo ${a[*]} ${!a[*]}; i=5; echo ${a[i]} $((i + 1))", "y z 1 5\nz 6\n"),
        ("declare -A m; m[a]=1; m[b c]=2; echo ${m[a]} ${m[b c]} ${#m[@]}; m=([x]=7); echo ${m[x]}", "1 2 2\n7\n"),
        ("f() { local -a l=(p q); echo ${l[1]}; }; f; echo \"<${l[1]}>\"", "q\n<>\n"),
        ("x=hello; echo ${x^^} ${x^} ${x:1:3}; y=x; echo ${!y}", "HELLO Hello ell\nhello\n"),
        ("function f { echo \"f $1\"; }; f x; g() (echo sub); g", "f x\nsub\n"),
        ("diff <(printf 'a\\nb\\n') <(printf 'a\\nc\\n') || true", "2c2\n< b\n---\n> c\n"),
        (
            "source <(echo 'v=sourced'); echo $v; while read -r l; do echo \"<$l>\"; done < <(printf 'x\\ny\\n')",
            "sourced\n<x>\n<y>\n",
        ),
        (
            "mapfile -t l < <(printf 'x\\ny z\\n'); echo ${#l[@]} \"${l[1]}\"; IFS=, read -ra p <<< a,b; echo ${p[1]}",
            "2 y z\nb\n",
        ),
        ("printf -v s '%03d' 7; echo $s; set --; for x in \"$@\"; do echo never; done", "007\n"),
        ("trap 'echo caught $?' ERR; false; if false; then :; fi; true", "caught 1\n"),
        ("select x in red blue; do echo $x; break; done <<< 2 2>/dev/null", "blue\n"),
    ];
    for (script, expected) in cases {
        let (out, err, code) = run_in("bash", script, "");
        assert_eq!((out.as_str(), err.as_str(), code), (expected, "", 0), "{script}");
    }
    // Braces are no expansion of sh.
    check(&[("echo {a,b} {1..3}", "{a,b} {1..3}\n"), ("echo $((2 ** 8)) $((x = 5, x + 1))", "256 6\n")]);
}

#[test]
fn options_are_read_by_getopts() {
    let script = "while getopts ab:c o; do case $o in a|c) echo $o;; b) echo b=$OPTARG;; *) echo bad;; esac; done; \
                  shift $((OPTIND - 1)); echo $# $1";
    check(&[
        (&format!("set -- -a -b x rest; {script}"), "a\nb=x\n1 rest\n"),
        (&format!("set -- -acbx -- -a; {script}"), "a\nc\nb=x\n1 -a\n"),
    ]);
    let (out, err, _) = run(&format!("set -- -z; {script}"));
    assert_eq!((out.as_str(), err.as_str()), ("bad\n0\n", "sh: illegal option -z\n"));
}

#[test]
fn awk_does_what_scripts_ask_of_it() {
    check(&[
        (
            "printf 'a 1\\nb 2\\nc 3\\n' | awk '{s += $2; print $1, NR} END {print \"sum\", s, s / 2}'",
            "a 1\nb 2\nc 3\nsum 6 3\n",
        ),
        ("printf 'NAME X\\nweb 1\\n' | awk 'NR > 1 {print $1}'", "web\n"),
        ("echo a:b:c | awk -F: -v OFS=- '{$2 = \"X\"; print; print $NF, NF}'", "a-X-c\nc-3\n"),
        ("printf 'a\\nb\\nc\\nd\\n' | awk '/b/,/c/'", "b\nc\n"),
        (
            "awk 'BEGIN {for (i = 1; i <= 3; i++) x[i] = i * i; for (k in x) print k, x[k]; if (2 in x) delete x[2]; print length(x)}'",
            "1 1\n2 4\n3 9\n2\n",
        ),
        (
            "awk 'BEGIN {printf \"%5.2f|%-5s|%05d|%x|%c|%e\\n\", 3.14159, \"ab\", 42, 255, 65, 1234.5}'",
            " 3.14|ab   |00042|ff|A|1.234500e+03\n",
        ),
        (
            "awk 'BEGIN {print length(\"hello\"), substr(\"hello\", 2, 3), index(\"hello\", \"l\"), toupper(\"x\"), 1e6, 0.1 + 0.2, 1/3}'",
            "5 ell 3 X 1000000 0.3 0.333333\n",
        ),
        ("awk 'function f(n) {return n < 2 ? n : f(n - 1) + f(n - 2)} BEGIN {print f(15)}'", "610\n"),
        (
            "echo foo | awk '{gsub(/o/, \"[&]\"); print; print match($0, /\\[/), RSTART; sub(\"f\", \"g\"); print}'",
            "f[o][o]\n2 2\ng[o][o]\n",
        ),
        (
            "awk 'BEGIN {while ((\"echo a; echo b\" | getline l) > 0) print \"got\", l; print \"z\\ny\" | \"sort\"; close(\"sort\"); print \"end\"}'",
            "got a\ngot b\ny\nz\nend\n",
        ),
        (
            "printf '1 2\\n' > f; awk '{print $1 > \"o\"; print $2 >> \"o\"}' f; cat o; awk 'END {print NR}' f",
            "1\n2\n1\n",
        ),
        ("printf 'a b\\nc\\n\\nd\\n' | awk -v RS= '{print NR \": \" $1 \"-\" $NF}'", "1: a-c\n2: d-d\n"),
        (
            "awk 'BEGIN {n = split(\"a,b,c\", p, \",\"); print n, p[3]; x[\"a\", 1]; for (k in x) {split(k, q, SUBSEP); print q[1], q[2]}}'",
            "3 c\na 1\n",
        ),
        (
            "printf '10\\n9\\n' | awk '$1 > m {m = $1} END {print m}'; awk 'BEGIN {print (\"10\" < \"9\"), 10 < 9, -2 ^ 2, 7 % 3, !x}'",
            "10\n1 0 -4 1 1\n",
        ),
        (
            "awk 'BEGIN {if (!(\"x\" in a)) print \"none\"; do i++; while (i < 5); print i; exit 0} END {print \"end\"}'",
            "none\n5\nend\n",
        ),
    ]);
    let (_, err, code) = run("awk 'BEGIN {print (}'");
    assert_eq!((err.as_str(), code), ("awk: cmd. line:1: syntax error at or near }\n", 2));
    assert_eq!(run("awk 'BEGIN {exit 3}'").2, 3);
}

#[test]
fn tables_of_any_width_are_drawn() {
    check(&[
        ("head -c 70000 /dev/zero | tr '\\0' a | column -t | wc -c", "70001\n"),
        ("printf ab | xxd -c 30000 | cut -c 1-15", "00000000: 6162 \n"),
        ("printf ab | od -N 18446744073709551615 -j 1 -c | head -n 1", "0000001   b\n"),
        ("printf ab | od -j 3 2>&1; echo $?", "od: cannot skip past end of combined input\n1\n"),
        ("bash -c 'echo {00001..2}'", "00001 00002\n"),
    ]);
}

#[test]
fn gzip_packs_tests_and_unpacks() {
    check(&[
        ("printf a | gzip | gunzip", "a"),
        ("cd /tmp; printf a > a; printf b > b; gzip -c a b | zcat", "ab"),
        ("cd /tmp; printf a > a; gzip a; gzip -t a.gz && ls", "a.gz\n"),
        ("cd /tmp; printf a > a; gzip a; gunzip a.gz; ls; cat a", "a\na"),
        ("cd /tmp; printf a | gzip - | gunzip -; ls", "a"),
        ("cd /tmp; mkdir d; printf a > d/a; tar -czf d.tgz d; rm -r d; tar -xzf d.tgz; cat d/a", "a"),
    ]);
}

#[test]
fn tools_compare_count_and_look() {
    check(&[
        (
            "printf '1\\n2\\n' > a; printf '1\\n3\\n' > b; diff -u a b || cmp a b || comm a b; paste -d, a b",
            "--- a\n+++ b\n@@ -1,2 +1,2 @@\n 1\n-2\n+3\na b differ: char 3, line 2\n\t\t1\n2\n\t3\n1,1\n2,3\n",
        ),
        (
            "printf 'a\\nb\\n' | tac; echo abc | rev; printf 'a 1\\nbbb 2\\n' | column -t; echo abcdef | fold -w 4",
            "b\na\ncba\na    1\nbbb  2\nabcd\nef\n",
        ),
        ("expr 1 + 2 '*' 3; expr abc : 'a\\(.*\\)'; expr length hello; expr 3 '>' 2", "7\nbc\n5\n1\n"),
        ("echo '10/4; scale=2; 10/4; 2^10; 1.5*2' | bc", "2\n2.50\n1024\n3.0\n"),
        (
            "printf hi > f; sha256sum f; sha256sum f > s; sha256sum -c s; stat -c '%s %a %F' f",
            "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4  f\nf: OK\n2 644 regular file\n",
        ),
        ("mkdir -p d/e; printf hi > d/e/f; du -a d; du -sh d", "4\td/e/f\n8\td/e\n12\td\n12K\td\n"),
        (
            "dd if=/dev/zero of=z bs=1k count=3 2>/dev/null; wc -c z; A=1 envsubst <<'E'\n$A ${A} $ x\nE\n",
            "3072 z\n1 1 $ x\n",
        ),
        ("sleep 100 & pgrep sleep > p; pkill sleep; wait; test -s p && echo found", "found\n"),
    ]);
}

#[test]
fn jq_and_yq_ask_documents() {
    let pods = r#"{"items":[{"metadata":{"name":"web","labels":{"app":"web"}},"status":{"phase":"Running","restarts":2}},{"metadata":{"name":"db"},"status":{"phase":"Pending","restarts":0}}]}"#;
    let cases = [
        ("-r '.items[].metadata.name'", "web\ndb\n"),
        (
            "-c '.items[] | {name: .metadata.name, phase: .status.phase}'",
            "{\"name\":\"web\",\"phase\":\"Running\"}\n{\"name\":\"db\",\"phase\":\"Pending\"}\n",
        ),
        ("-r '.items[] | select(.status.phase == \"Running\") | .metadata.name'", "web\n"),
        ("'.items | length'", "2\n"),
        ("'[.items[].status.restarts] | add'", "2\n"),
        ("-c '[.items[] | .metadata.labels.app // \"none\"]'", "[\"web\",\"none\"]\n"),
        ("-r '.items[] | \"\\(.metadata.name): \\(.status.restarts + 1)\"'", "web: 3\ndb: 1\n"),
        ("-r '.items[] | [.metadata.name, .status.restarts] | @tsv'", "web\t2\ndb\t0\n"),
        (
            "-c '.items |= map(.status) | .items[0].phase = \"x\" | del(.items[1])'",
            "{\"items\":[{\"phase\":\"x\",\"restarts\":2}]}\n",
        ),
        ("-c '.items | sort_by(.metadata.name) | map(.metadata.name)'", "[\"db\",\"web\"]\n"),
        (
            "-c '.items | group_by(.status.phase) | map({(.[0].status.phase): length}) | add'",
            "{\"Pending\":1,\"Running\":1}\n",
        ),
        (
            "-c '[paths(type == \"number\")]'",
            "[[\"items\",0,\"status\",\"restarts\"],[\"items\",1,\"status\",\"restarts\"]]\n",
        ),
        ("-c '.items[0].metadata.labels | to_entries'", "[{\"key\":\"app\",\"value\":\"web\"}]\n"),
        ("-c '.items[0].status | with_entries(.value |= tostring)'", "{\"phase\":\"Running\",\"restarts\":\"2\"}\n"),
        ("--arg n db '.items[] | select(.metadata.name == $n).status.phase'", "\"Pending\"\n"),
        (
            "-c '[.items[].metadata.name | test(\"^w\")], (.items[0].metadata.name | sub(\"w(?<x>.)\"; \"<\\(.x)>\"))'",
            "[true,false]\n\"<e>b\"\n",
        ),
        (
            "-c '[limit(3; range(10))], [range(0; 10; 3)], (reduce range(5) as $i (0; . + $i))'",
            "[0,1,2]\n[0,3,6,9]\n10\n",
        ),
        (
            "-c 'def f(x): x * 2; [.items[].status.restarts | f(.)], (try error(\"no\") catch .), ([.. | strings] | length)'",
            "[4,0]\n\"no\"\n5\n",
        ),
        (
            "-c '.items[0] as {metadata: {$name}} | $name, ([.items[] | if .status.restarts > 0 then \"bad\" else \"good\" end])'",
            "\"web\"\n[\"bad\",\"good\"]\n",
        ),
        ("'.items[0].metadata.labels'", "{\n  \"app\": \"web\"\n}\n"),
        (
            "-c 'any(.items[]; .status.phase == \"Pending\"), (.items | map(.metadata.name) | join(\",\")), ([1,[2]] | flatten), ({a:1} * {b:2})'",
            "true\n\"web,db\"\n[1,2]\n{\"a\":1,\"b\":2}\n",
        ),
    ];
    for (filter, expected) in cases {
        let (out, err, code) = run_with(&format!("jq {filter}"), pods);
        assert_eq!((out.as_str(), err.as_str(), code), (expected, "", 0), "{filter}");
    }
    for (filter, message, code) in [
        ("'.items[0].status.phase.x'", "jq: error (at <stdin>:0): Cannot index string with \"x\"\n", 5),
        ("'.nope[]'", "jq: error (at <stdin>:0): Cannot iterate over null (null)\n", 5),
        ("'.items | no_such'", "jq: error (at <stdin>:0): no_such/0 is not defined\n", 5),
        ("'[repeat(.)]'", "jq: error (at <stdin>:0): this jq gives up: too many steps\n", 5),
    ] {
        let (_, err, ended) = run_with(&format!("jq {filter}"), if filter.contains("repeat") { "1" } else { pods });
        assert_eq!((err.as_str(), ended), (message, code), "{filter}");
    }
    assert_eq!(run_with("jq '.items['", pods).2, 3);
    assert_eq!(run_with("jq -e '.nope'", pods).2, 1);
    let yaml = "kind: Deployment\nspec:\n  replicas: 1\n---\nkind: Service\n";
    for (line, expected) in [
        ("yq .kind", "Deployment\nService\n"),
        ("yq 'select(.kind == \"Deployment\") | .spec'", "replicas: 1\n"),
        ("yq -o json -c . | head -n 1", "{\"kind\":\"Deployment\",\"spec\":{\"replicas\":1}}\n"),
        (
            "cat > d.yaml; yq -i 'select(.spec).spec.replicas = 3' d.yaml; head -n 3 d.yaml",
            "kind: Deployment\nspec:\n  replicas: 3\n",
        ),
    ] {
        let (out, err, code) = run_with(line, yaml);
        assert_eq!((out.as_str(), err.as_str(), code), (expected, "", 0), "{line}");
    }
}

#[test]
fn what_never_ends_meets_a_limit() {
    let (out, ..) = run("for i in $(seq 1 5000); do sleep 1000 & done 2>&1 | head -n 1");
    assert_eq!(out, "sh: can't fork: Resource temporarily unavailable\n");
    let (_, errors, code) = run("head -c 300000000 /dev/zero > /tmp/big");
    assert_ne!(code, 0);
    assert!(errors.contains("No space left on device"), "{errors}");
    // Files that go make room.
    assert_eq!(run("head -c 200000000 /dev/zero > /tmp/a; rm /tmp/a; head -c 200000000 /dev/zero > /tmp/a").2, 0);
}

#[test]
fn lines_are_passed_on_as_they_come() {
    for filter in ["sed s/x/y/", "cut -c1", "uniq", "grep x", "tr x y"] {
        let script = format!("(echo x; echo z; sleep 1000) | {filter} | (read line; echo \"got $line\"; kill $$)");
        assert!(run(&script).0.starts_with("got "), "{filter}");
    }
    assert_eq!(run("printf 'a\\nb\\nc' | sed '$d'").0, "a\nb\n");
    assert_eq!(run("printf 'a\\nb\\nc\\n' | sed -n '$p'").0, "c\n");
    assert_eq!(run("printf 'a\\na\\nb\\na\\n' | uniq -c").0, "      2 a\n      1 b\n      1 a\n");
    assert_eq!(run("yes | sed 2q").0, "y\ny\n");
}
