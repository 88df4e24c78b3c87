//! The lines of the seed documents, typed at the learner's computer.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use machinery::Timestamp;
use machinery::wire::{Channels, Frame};
use playground_core::control::{EDITOR, EditorFile, EditorWord};
use playground_core::{Cluster, NodeOptions, Options, lesson_files};
use store::Store;

use crate::test;

fn cluster() -> Cluster {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let nodes = NodeOptions::cluster("hello", 3);
    let options = Options::new(Store::new(&store::Options::default()), start, 7);
    let cluster = Cluster::new(Options { nodes, files: lesson_files(), ..options }).unwrap();
    cluster.run_for(Duration::from_secs(20));
    cluster
}

/// Runs a line that succeeds, and gives what it printed.
fn line(cluster: &Cluster, line: &str) -> String {
    let learner = cluster.learner().clone();
    let limit = cluster.now() + Duration::from_secs(300);
    let text = line.to_owned();
    let output = cluster.executor().block_on(limit, async move { learner.run(&text).await }).unwrap();
    assert_eq!(output.code, 0, "{line}\n{}{}", output.stdout, output.stderr);
    output.stdout
}

#[test]
fn hello_kube_answers_on_its_node_port_through_a_port_forward_and_in_its_log() {
    let cluster = cluster();
    assert_eq!(line(&cluster, "kubectl apply -f hellodep.yaml"), "deployment.apps/hellodep created\n");
    line(&cluster, "kubectl apply -f helloservice.yaml");
    line(&cluster, "kubectl wait --for=condition=Available deployment/hellodep --timeout=120s");
    cluster.run_for(Duration::from_secs(5));
    assert!(line(&cluster, "curl -s http://localhost:30950").starts_with("Hello Kube! 2026-01-01 "));
    let pod = line(&cluster, "kubectl get pods -o name | head -n1");
    let pod = pod.trim();
    let forwarded = line(
        &cluster,
        &format!("kubectl port-forward {pod} 8080:8080 >/dev/null & sleep 2; curl -s http://localhost:8080; kill $!"),
    );
    assert!(forwarded.starts_with("Hello Kube! "), "{forwarded}");
    assert!(line(&cluster, &format!("kubectl logs {pod}")).contains("listening on :8080"));
    let inside = line(&cluster, &format!("kubectl exec {pod} -- wget -qO- http://helleservice:8080"));
    assert!(inside.starts_with("Hello Kube! "), "{inside}");
    line(&cluster, &format!("kubectl delete {pod}"));
    cluster.run_for(Duration::from_secs(60));
    assert_eq!(line(&cluster, "kubectl get pods --no-headers | grep -c Running"), "2\n");
    assert_eq!(line(&cluster, "kubectl get endpoints helleservice --no-headers | grep -o :8080 | wc -l"), "2\n");
}

/// Lets the terminal work for a while, and gives the last file that its programs want edited beside it.
fn wanted_file(cluster: &Cluster, terminal: &mut Channels) -> Option<EditorFile> {
    let mut wanted = None;
    for _ in 0..30 {
        cluster.run_for(Duration::from_millis(100));
        while let Some(Some(frame)) = terminal.receiver.next().now_or_never() {
            if let (EDITOR, Some(data)) = (frame.channel, frame.data) {
                wanted = serde_json::from_slice(&data).ok();
            }
        }
    }
    wanted
}

#[test]
fn editors_are_beside_the_terminal_where_there_is_one() {
    let cluster = cluster();
    let mut terminal = cluster.learner().open_terminal();
    let sender = terminal.sender.clone();
    let send = |channel: u8, text: String| {
        sender.clone().try_send(Frame { channel, data: Some(text.into()) }).unwrap();
    };
    let say = |word: EditorWord| send(EDITOR, serde_json::to_string(&word).unwrap());
    let text = || line(&cluster, "cat notes.txt");
    // Nobody has said that there is an editor: vi is in the terminal.
    send(0, "vi notes.txt\r".into());
    assert_eq!(wanted_file(&cluster, &mut terminal), None);
    send(0, "ione\x1b:wq\r".into());
    assert_eq!(wanted_file(&cluster, &mut terminal), None);
    assert_eq!(text(), "one\n");
    say(EditorWord::Ready);
    send(0, "nano notes.txt; echo more >> notes.txt\r".into());
    let file = wanted_file(&cluster, &mut terminal).unwrap();
    assert_eq!((file.name.as_str(), file.text.as_str()), ("/home/learner/notes.txt", "one\n"));
    // An answer to something else is none, and what was not meant for it neither.
    say(EditorWord::Saved { id: file.id + 1, text: "x".into() });
    send(EDITOR, "{}".into());
    assert_eq!(wanted_file(&cluster, &mut terminal), None);
    assert_eq!(text(), "one\n");
    say(EditorWord::Saved { id: file.id, text: "two\nlines\n".into() });
    assert_eq!(wanted_file(&cluster, &mut terminal), None);
    assert_eq!(text(), "two\nlines\nmore\n");
    // kubectl edit waits as long as it takes.
    line(&cluster, "kubectl create configmap edited --from-literal=colour=red");
    send(0, "kubectl edit configmap edited; echo $? > code\r".into());
    let file = wanted_file(&cluster, &mut terminal).unwrap();
    assert!(file.name.ends_with(".yaml"), "{}", file.name);
    cluster.run_for(Duration::from_secs(600));
    say(EditorWord::Saved { id: file.id, text: file.text.replace("red", "blue") });
    assert_eq!(wanted_file(&cluster, &mut terminal), None);
    assert_eq!(line(&cluster, "cat code; kubectl get configmap edited -o jsonpath='{.data.colour}'"), "0\nblue");
    // One that cannot be opened, or one that somebody names, is in the terminal.
    send(0, "vi notes.txt\r".into());
    let file = wanted_file(&cluster, &mut terminal).unwrap();
    say(EditorWord::Unavailable { id: file.id });
    assert_eq!(wanted_file(&cluster, &mut terminal), None);
    send(0, "dd:wq\r".into());
    send(0, "EDITOR=vi vi notes.txt\r".into());
    assert_eq!(wanted_file(&cluster, &mut terminal), None);
    send(0, "dd:wq\r".into());
    assert_eq!(wanted_file(&cluster, &mut terminal), None);
    assert_eq!(text(), "more\n");
    // Cancelled, and gone while it is open: the file stays.
    send(0, "vi notes.txt\r".into());
    let file = wanted_file(&cluster, &mut terminal).unwrap();
    say(EditorWord::Cancelled { id: file.id });
    send(0, "vi notes.txt\r".into());
    assert!(wanted_file(&cluster, &mut terminal).is_some());
    drop(terminal);
    cluster.run_for(Duration::from_secs(3));
    assert_eq!(text(), "more\n");
}

#[test]
fn load_balancers_answer_at_localhost() {
    let cluster = cluster();
    for file in ["deployment.yaml", "service.yaml", "tutorial.yaml"] {
        line(&cluster, &format!("kubectl apply -f {file} --validate=false"));
    }
    line(&cluster, "kubectl wait --for=condition=Available deployment --all --timeout=120s");
    cluster.run_for(Duration::from_secs(5));
    assert!(line(&cluster, "curl -s http://localhost:8086").contains("Welcome to nginx!"));
    assert!(line(&cluster, "curl -s localhost").contains("Getting Started"));
}
