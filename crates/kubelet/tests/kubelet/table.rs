//! Every probe, hook and restart policy together, against what upstream documents.
//!
//! The model below says in a few lines what the documentation says in pages ("Pod Lifecycle", "Container Lifecycle
//! Hooks", "Configure Probes", "Sidecar Containers"); the kubelet is asked for the same.

use serde_json::{Value, json};

use crate::common::{Bed, Plan};

/// Pods that a bed holds at once.
const BATCH: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Good,
    Bad,
    /// None: the probe or hook is given up at its timeout.
    Hang,
}
const ANSWERS: [Answer; 3] = [Answer::Good, Answer::Bad, Answer::Hang];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Asks {
    Http,
    Tcp,
    Exec,
    Grpc,
}
const ASKS: [Asks; 4] = [Asks::Http, Asks::Tcp, Asks::Exec, Asks::Grpc];

#[derive(Clone, Copy, Debug, PartialEq)]
struct Probe {
    field: &'static str,
    answer: Answer,
    asks: Asks,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Hooks {
    post_start: Option<Answer>,
    pre_stop: Option<Answer>,
}

/// Where a container's restarts are decided.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Own {
    /// By the pod's policy.
    Pods,
    /// By a policy of its own.
    Policy(&'static str),
    /// By a rule for exit code 137, beside its own `Never`.
    Killed,
    /// By a rule for all other codes but 137, beside its own `Never`.
    NotKilled,
    /// It is a sidecar.
    Sidecar,
}
const OWN: [Own; 6] =
    [Own::Policy("Always"), Own::Policy("OnFailure"), Own::Policy("Never"), Own::Killed, Own::NotKilled, Own::Sidecar];
const POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];

#[derive(Clone, Copy, Debug)]
struct Case {
    probe: Option<Probe>,
    hooks: Hooks,
    policy: &'static str,
    own: Own,
    /// Whether its process ends on SIGTERM, with 0; else SIGKILL ends it, with 137.
    polite: bool,
}

/// What becomes of a container.
#[derive(Debug, PartialEq)]
enum Fate {
    Runs {
        ready: bool,
    },
    /// Waits for its postStart hook.
    Starts,
    /// Is restarted again and again.
    Restarts,
    /// Ends once, with this code.
    Ends(i32),
}

impl Case {
    fn probe_kills(&self) -> bool {
        let fails = self.probe.is_some_and(|probe| probe.answer != Answer::Good && probe.field != "readinessProbe");
        fails && !matches!(self.hooks.post_start, Some(Answer::Bad | Answer::Hang))
    }

    fn hook_kills(&self) -> bool {
        self.hooks.post_start == Some(Answer::Bad)
    }

    fn fate(&self) -> Fate {
        if self.hooks.post_start == Some(Answer::Hang) {
            return Fate::Starts;
        }
        if !self.probe_kills() && !self.hook_kills() {
            let unready = self.probe.is_some_and(|probe| probe.answer != Answer::Good);
            return Fate::Runs { ready: !unready };
        }
        let code = if self.polite { 0 } else { 137 };
        let by = |policy: &str| policy == "Always" || policy == "OnFailure" && code != 0;
        let restarts = match self.own {
            Own::Pods => by(self.policy),
            Own::Policy(own) => by(own),
            Own::Killed => code == 137,
            Own::NotKilled => code != 137,
            Own::Sidecar => true,
        };
        if restarts { Fate::Restarts } else { Fate::Ends(code) }
    }

    fn handler(answer: Answer, asks: Asks, name: &str) -> Value {
        let word = match answer {
            Answer::Good => "good",
            Answer::Bad => "bad",
            Answer::Hang => "hang",
        };
        // A port that is closed, where a connection is all that is asked for.
        let port = match (answer, asks) {
            (Answer::Good, _) => 80,
            (Answer::Bad, Asks::Tcp) => 9,
            (Answer::Bad, _) => 81,
            (Answer::Hang, _) => 82,
        };
        match asks {
            Asks::Http => json!({"httpGet": {"port": port, "path": "/"}}),
            Asks::Tcp => json!({"tcpSocket": {"port": port}}),
            Asks::Exec => json!({"exec": {"command": [word, name]}}),
            Asks::Grpc => json!({"grpc": {"port": port, "service": "/"}}),
        }
    }

    fn spec(&self, name: &str) -> Value {
        let mut container = json!({"name": name, "image": "app:1"});
        if let Some(probe) = self.probe {
            container[probe.field] = Self::handler(probe.answer, probe.asks, name);
            container[probe.field]["periodSeconds"] = 2.into();
            container[probe.field]["failureThreshold"] = 2.into();
        }
        for (field, hook) in [("postStart", self.hooks.post_start), ("preStop", self.hooks.pre_stop)] {
            if let Some(answer) = hook {
                container["lifecycle"][field] = Self::handler(answer, Asks::Exec, &format!("{field}-{name}"));
            }
        }
        let rule =
            |operator: &str| json!([{"action": "Restart", "exitCodes": {"operator": operator, "values": [137]}}]);
        match self.own {
            Own::Pods => {}
            Own::Policy(own) => container["restartPolicy"] = own.into(),
            Own::Killed | Own::NotKilled => {
                container["restartPolicy"] = "Never".into();
                container["restartPolicyRules"] = rule(if self.own == Own::Killed { "In" } else { "NotIn" });
            }
            Own::Sidecar => container["restartPolicy"] = "Always".into(),
        }
        let mut spec = json!({"restartPolicy": self.policy, "terminationGracePeriodSeconds": 2});
        match self.own {
            Own::Sidecar => {
                spec["initContainers"] = json!([container]);
                spec["containers"] = json!([{"name": format!("main-{name}"), "image": "app:1"}]);
            }
            _ => spec["containers"] = json!([container]),
        }
        spec
    }

    fn check(&self, bed: &Bed, name: &str, events: &[String], log: &[String]) {
        let fate = self.fate();
        let status = bed.pod(name).unwrap().status.unwrap();
        let case = format!("{self:?}, {fate:?}: {}", bed.summary(name));
        let phase = status.phase.unwrap_or_default();
        let all = status.init_container_statuses.into_iter().chain(status.container_statuses).flatten();
        let all: Vec<_> = all.collect();
        let own = all.iter().find(|status| status.name == name).expect(&case);
        let others = all.iter().find(|status| status.name != name);
        let state = own.state.clone().unwrap_or_default();
        let ended = own.last_state.iter().chain(&own.state).filter_map(|state| state.terminated.clone()).next();
        match fate {
            Fate::Runs { ready } => {
                assert!(state.running.is_some() && own.restart_count == 0, "{case}");
                assert_eq!(own.ready, ready, "{case}");
                assert_eq!(phase, "Running", "{case}");
                assert!(others.is_none_or(|other| other.ready), "{case}");
            }
            Fate::Starts => {
                assert!(state.waiting.is_some() && own.restart_count == 0 && !own.ready, "{case}");
                assert_eq!(phase, "Pending", "{case}");
                assert!(others.is_none_or(|other| other.state.as_ref().is_some_and(|s| s.waiting.is_some())), "{case}");
            }
            Fate::Restarts => {
                assert!(own.restart_count > 0, "{case}");
                assert_eq!(ended.map(|end| end.exit_code), Some(if self.polite { 0 } else { 137 }), "{case}");
                // Who waits for a sidecar that never starts has not run either.
                let starts = !self.hook_kills() && self.probe.is_some_and(|probe| probe.field == "livenessProbe");
                let runs = self.own != Own::Sidecar || starts;
                assert_eq!(phase, if runs { "Running" } else { "Pending" }, "{case}");
            }
            Fate::Ends(code) => {
                assert_eq!(own.restart_count, 0, "{case}");
                assert_eq!(state.terminated.map(|end| end.exit_code), Some(code), "{case}");
                assert_eq!(phase, if code == 0 { "Succeeded" } else { "Failed" }, "{case}");
            }
        }
        let told = |text: &str| events.iter().any(|event| event.contains(text));
        assert_eq!(told("FailedPostStartHook"), self.hook_kills(), "{case} {events:?}");
        assert_eq!(told("probe, will be restarted"), self.probe_kills(), "{case} {events:?}");
        // preStop runs before each end that is not the process' own, and its failure is told.
        let kills = self.probe_kills() || self.hook_kills();
        if let Some(answer) = self.hooks.pre_stop {
            let at = |text: &str| log.iter().position(|line| line.starts_with(text));
            let ran = log.iter().position(|line| line.ends_with(&format!(" preStop-{name}")));
            let stopped = at(&format!("stop {name} "));
            assert_eq!(ran.is_some(), kills, "{case} {log:?}");
            assert!(ran <= stopped, "{case} {log:?}");
            assert!(!kills || answer == Answer::Good || told("FailedPreStopHook"), "{case} {events:?}");
        }
    }
}

/// Runs cases, some at a time, and looks at each; then deletes them.
fn run(cases: &[Case]) {
    for batch in cases.chunks(BATCH) {
        let mut bed = Bed::new();
        {
            let mut world = bed.world.0.borrow_mut();
            world.http.insert((80, "/".into()), 200);
            world.http.insert((81, "/".into()), 500);
            world.http.insert((82, "/".into()), 200);
            world.silent.insert(82);
            world.endless.insert("hang".into());
            world.commands.insert("bad".into(), 1);
        }
        let names: Vec<String> = (0..batch.len()).map(|index| format!("c{index:03}")).collect();
        for (case, name) in batch.iter().zip(&names) {
            bed.world.plan(name, [Plan { exits: None, term: case.polite.then_some(0) }]);
            bed.create(name, case.spec(name));
        }
        // The longest way: two probes given up, a hook that hangs through the grace time, a SIGTERM ignored for two seconds.
        bed.run(9);
        let log = bed.world.log();
        let events = bed.events_by_pod();
        for (case, name) in batch.iter().zip(&names) {
            let log: Vec<String> = log.iter().filter(|line| line.contains(name.as_str())).cloned().collect();
            case.check(&bed, name, events.get(name).map_or(&[], Vec::as_slice), &log);
        }
        for name in &names {
            bed.api.delete_pod(name, bed.now, 2);
        }
        bed.run(5);
        for (case, name) in batch.iter().zip(&names) {
            assert_eq!(bed.summary(name), "gone", "{case:?}");
        }
        assert!(bed.world.running().is_empty() && bed.world.0.borrow().sandboxes.is_empty());
    }
}

fn probes(asks: &[Asks]) -> Vec<Option<Probe>> {
    let mut out = vec![None];
    for field in ["startupProbe", "livenessProbe", "readinessProbe"] {
        for answer in ANSWERS {
            out.extend(asks.iter().map(|asks| Some(Probe { field, answer, asks: *asks })));
        }
    }
    out
}

/// No hook, each with each answer, and both.
fn hooks() -> Vec<Hooks> {
    let answers = || [None].into_iter().chain(ANSWERS.map(Some));
    answers().flat_map(|post_start| answers().map(move |pre_stop| Hooks { post_start, pre_stop })).collect()
}

/// All together; but how a container ends and who decides of its restarts only where something ends it.
fn cases(asks: &[Asks], hooks: &[Hooks], policies: &[&'static str], own: &[Own]) -> Vec<Case> {
    let mut out = Vec::new();
    for probe in probes(asks) {
        for hooks in hooks {
            for policy in policies {
                for own in own {
                    let case = |polite| Case { probe, hooks: *hooks, policy, own: *own, polite };
                    let ends = matches!(case(true).fate(), Fate::Restarts | Fate::Ends(_));
                    // How a process ends is not its probe's business either.
                    let ends =
                        |case: &Case| ends && (case.polite || probe.is_none_or(|probe| probe.asks == Asks::Exec));
                    let shown = |case: &Case| ends(case) || case.polite && matches!(case.own, Own::Pods | Own::Sidecar);
                    out.extend([true, false].map(case).into_iter().filter(shown));
                }
            }
        }
    }
    out
}

#[test]
fn every_probe_with_every_hook_and_every_policy_of_the_pod() {
    let single: Vec<Hooks> =
        hooks().into_iter().filter(|hooks| hooks.post_start.is_none() || hooks.pre_stop.is_none()).collect();
    run(&cases(&ASKS, &single, &POLICIES, &[Own::Pods]));
}

/// How a probe asks decides what its answer is; what the answer means is the same for all.
#[test]
fn every_answer_with_both_hooks_and_every_policy_of_the_container() {
    // Where a container decides for itself, the pod's policy says nothing.
    let some = |hooks: &Hooks| hooks.post_start != Some(Answer::Good) && hooks.pre_stop != Some(Answer::Good);
    let few: Vec<Hooks> = hooks().into_iter().filter(some).collect();
    run(&cases(&[Asks::Exec], &few, &["Always", "Never"], &OWN));
    run(&cases(&[Asks::Exec], &hooks(), &["OnFailure"], &[Own::Pods]));
}

/// A rule's `RestartAllContainers`, from each role, under each policy: whoever ended runs again, from the first init
/// container on, without preStop hooks, in the same sandbox.
#[test]
fn all_containers_start_anew() {
    // A kubelet that restarts in between, at any second, goes on where the one before it was.
    let restarts = (0..14).map(|second| ("Never", Some(second)));
    for (policy, restart) in POLICIES.into_iter().map(|policy| (policy, None)).chain(restarts) {
        for source in ["init", "side", "app"] {
            let mut bed = Bed::new();
            let rules = json!([{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}]);
            let mut containers = [
                json!({"name": "first", "image": "app:1"}),
                json!({"name": "side", "image": "app:1", "restartPolicy": "Always",
                       "lifecycle": {"preStop": {"exec": {"command": ["hook"]}}}}),
                json!({"name": "init", "image": "app:1"}),
                json!({"name": "app", "image": "app:1", "lifecycle": {"preStop": {"exec": {"command": ["hook"]}}}}),
            ];
            let ends = |seconds, code| Plan { exits: Some((seconds, code)), ..Plan::default() };
            let stays = Plan { exits: None, term: None };
            for name in ["first", "init"] {
                bed.world.plan(name, [ends(1, 0)]);
            }
            for name in ["side", "app"] {
                bed.world.plan(name, [stays]);
            }
            let last = if source == "init" { ends(1, 0) } else { stays };
            bed.world.plan(source, [ends(5, 88), last]);
            let own = containers.iter_mut().find(|container| container["name"] == source).unwrap();
            own["restartPolicyRules"] = rules;
            if source != "side" {
                own["restartPolicy"] = "Never".into();
            }
            let [first, side, init, app] = containers;
            bed.create(
                "web",
                json!({"restartPolicy": policy, "initContainers": [first, side, init], "containers": [app]}),
            );
            let condition = |bed: &Bed| {
                let conditions = bed.pod("web").unwrap().status.unwrap().conditions.unwrap();
                conditions.into_iter().find(|condition| condition.type_ == "AllContainersRestarting").unwrap().status
            };
            bed.run(1);
            assert_eq!(condition(&bed), "False");
            let (mut seen, mut waits) = (false, false);
            for second in 0..14 {
                if restart == Some(second) {
                    bed.restart();
                }
                bed.run(1);
                seen |= condition(&bed) == "True";
                waits |= bed.summary("web").contains("side: RestartingAllContainers unready 1");
            }
            let case = format!("{policy} {source} {restart:?}: {:?}", bed.world.log());
            assert!(seen && waits && condition(&bed) == "False", "{case}");
            let status = bed.pod("web").unwrap().status.unwrap();
            let all = [status.init_container_statuses, status.container_statuses].into_iter().flatten().flatten();
            for container in all.filter(|container| container.restart_count == 1) {
                let end = container.last_state.and_then(|state| state.terminated).expect(&case);
                assert_eq!((end.exit_code, end.reason.as_deref()), (137, Some("RestartingAllContainers")), "{case}");
            }
            let app = if source == "init" { 0 } else { 1 };
            assert_eq!(
                bed.summary("web"),
                format!(
                    "Running, first: Completed(0) ready 1, side: running ready 1, init: Completed(0) ready 1, \
                     app: running ready {app}"
                ),
                "{case}"
            );
            let log = bed.world.log();
            assert!(!log.contains(&"exec hook".into()), "{case}");
            let starts: Vec<&str> = log.iter().filter_map(|line| line.strip_prefix("start ")).collect();
            assert_eq!(starts[starts.len() - 4..], ["first", "side", "init", "app"], "{case}");
            assert_eq!(bed.world.0.borrow().sandboxes.len(), 1, "{case}");
        }
    }
}
