//! KubeSchedulerConfiguration, as far as it means something here (kubescheduler.config.k8s.io/v1).

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{NodeAffinity, TopologySpreadConstraint};
use machinery::split;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::framework::{Filter, MAX_NODE_SCORE, Score};
use crate::plugins;
use crate::plugins::node_resources_fit::{Fit, Strategy};
use crate::plugins::pod_topology_spread::Defaults;
use crate::resources::Resource;
use crate::scheduler::DEFAULT_SCHEDULER_NAME;

/// The highest score of a point of `requestedToCapacityRatio`'s shape.
const SHAPE_SCORE_MAX: i64 = 10;

/// How much a required affinity of a pod that is there counts for one to come.
const HARD_POD_AFFINITY_WEIGHT: i64 = 1;
/// So many of a hundred nodes are looked at for pods to evict, and at least so many.
const CANDIDATES: (usize, usize) = (10, 100);
/// A pod whose volumes are not bound after this is tried again.
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

/// The points that plugins extend, in upstream's order (`getExtensionPoints`).
const POINTS: [&str; 12] = [
    "preFilter",
    "filter",
    "postFilter",
    "reserve",
    "preScore",
    "score",
    "preBind",
    "bind",
    "postBind",
    "permit",
    "preEnqueue",
    "queueSort",
];

/// The plugins there are, and the points that each extends.
const PLUGINS: [(&str, &str); 19] = [
    ("SchedulingGates", "preEnqueue"),
    ("PrioritySort", "queueSort"),
    ("NodeUnschedulable", "filter"),
    ("NodeName", "filter"),
    ("TaintToleration", "filter preScore score"),
    ("NodeAffinity", "preFilter filter preScore score"),
    ("NodePorts", "preFilter filter"),
    ("NodeResourcesFit", "preFilter filter preScore score"),
    ("VolumeRestrictions", "preFilter filter"),
    ("NodeVolumeLimits", "preFilter filter"),
    ("VolumeBinding", "preFilter filter preScore score reserve preBind"),
    ("VolumeZone", "preFilter filter"),
    ("PodTopologySpread", "preFilter filter preScore score"),
    ("InterPodAffinity", "preFilter filter preScore score"),
    ("DynamicResources", "preEnqueue preFilter filter postFilter reserve preBind"),
    ("DefaultPreemption", "preEnqueue postFilter"),
    ("NodeResourcesBalancedAllocation", "preScore score"),
    ("ImageLocality", "score"),
    ("DefaultBinder", "bind"),
];

/// How the scheduler is set up. The default is upstream's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Configuration {
    /// Sets of plugins by scheduler name; one default profile where there is none.
    pub profiles: Vec<ProfileConfiguration>,
    /// How much of a large cluster is searched; 0 or absent lets its size decide.
    pub percentage_of_nodes_to_score: Option<usize>,
    /// The first backoff of a pod that fits nowhere; 1.
    pub pod_initial_backoff_seconds: Option<u64>,
    /// The longest backoff; 10.
    pub pod_max_backoff_seconds: Option<u64>,
}

/// A profile: pods ask for it by `spec.schedulerName`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProfileConfiguration {
    /// `default-scheduler` where it is absent.
    pub scheduler_name: Option<String>,
    /// Which plugins run.
    pub plugins: Plugins,
    /// Arguments of plugins.
    pub plugin_config: Vec<PluginConfig>,
    /// How much of a large cluster is searched for this profile's pods.
    pub percentage_of_nodes_to_score: Option<usize>,
}

/// Sets of plugins by extension point; `multiPoint` is of all.
pub type Plugins = BTreeMap<String, PluginSet>;

/// Differences from the default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PluginSet {
    /// Plugins that run, with other weights perhaps.
    pub enabled: Vec<Plugin>,
    /// Plugins that do not; `*` for all.
    pub disabled: Vec<Plugin>,
}

/// A plugin's name and weight.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Its score's weight; 0 for 1.
    pub weight: i64,
}

/// A plugin's arguments.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PluginConfig {
    /// The plugin.
    pub name: String,
    /// Its arguments.
    pub args: Value,
}

impl PluginSet {
    /// Whether a plugin runs, if the set says anything about it.
    fn runs(&self, name: &str) -> Option<bool> {
        let among = |set: &[Plugin], name: &str| set.iter().any(|it| it.name == name);
        if among(&self.enabled, name) {
            return Some(true);
        }
        (among(&self.disabled, name) || among(&self.disabled, "*")).then_some(false)
    }

    /// A plugin that is named without one has the weight 1, whatever the default's is.
    fn weight(&self, name: &str) -> Option<i64> {
        self.enabled.iter().find(|it| it.name == name).map(|it| it.weight.max(1))
    }
}

/// A profile at work.
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) filters: Vec<Box<dyn Filter>>,
    /// With their weights.
    pub(crate) scorers: Vec<(Box<dyn Score>, i64)>,
    /// The scorers' names.
    pub(crate) scorer_names: Rc<[&'static str]>,
    pub(crate) preempts: bool,
    /// What spreads pods that say nothing of spreading.
    pub(crate) spreading: Defaults,
    /// So many of a hundred nodes are looked at for pods to evict, and at least so many.
    pub(crate) candidates: (usize, usize),
    /// How long a pod waits for its volumes.
    pub(crate) bind_timeout: Duration,
    /// How much of a large cluster is searched, where the profile says so.
    pub(crate) percentage: Option<usize>,
}

/// Arguments of `PodTopologySpread`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodTopologySpreadArgs {
    default_constraints: Vec<TopologySpreadConstraint>,
    defaulting_type: Option<String>,
}

/// Arguments of `DefaultPreemption`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DefaultPreemptionArgs {
    min_candidate_nodes_percentage: Option<i32>,
    min_candidate_nodes_absolute: Option<i32>,
}

/// Arguments of `InterPodAffinity`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InterPodAffinityArgs {
    hard_pod_affinity_weight: Option<i64>,
    ignore_preferred_terms_of_existing_pods: bool,
}

/// Arguments of `VolumeBinding`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeBindingArgs {
    bind_timeout_seconds: Option<i64>,
}

/// Arguments of `NodeAffinity`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinityArgs {
    added_affinity: Option<NodeAffinity>,
}

/// Arguments of `NodeResourcesBalancedAllocation`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BalancedAllocationArgs {
    resources: Vec<ResourceSpec>,
}

/// Arguments of `NodeResourcesFit`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FitArgs {
    ignored_resources: Vec<String>,
    ignored_resource_groups: Vec<String>,
    scoring_strategy: ScoringStrategy,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScoringStrategy {
    #[serde(rename = "type")]
    kind: String,
    resources: Vec<ResourceSpec>,
    requested_to_capacity_ratio: Shape,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResourceSpec {
    name: String,
    weight: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Shape {
    shape: Vec<ShapePoint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ShapePoint {
    utilization: i64,
    /// Out of 10.
    score: i64,
}

/// A plugin's arguments; those of upstream where there are none.
fn read<T: DeserializeOwned + Default>(config: &[PluginConfig], plugin: &str) -> Result<T, String> {
    match config.iter().enumerate().find(|(_, it)| it.name == plugin && !it.args.is_null()) {
        None => Ok(T::default()),
        Some((index, it)) => machinery::object::from_value(it.args.clone())
            .map_err(|error| format!("pluginConfig[{index}]: decoding args for plugin {plugin}: {error}")),
    }
}

/// The resources that are scored, with their weights: processor time and memory alike where none are stated.
fn scored(stated: Vec<ResourceSpec>) -> Vec<(Resource, i64)> {
    if stated.is_empty() {
        return vec![(Resource::Cpu, 1), (Resource::Memory, 1)];
    }
    stated.into_iter().map(|it| (Resource::named(&it.name), if it.weight == 0 { 1 } else { it.weight })).collect()
}

fn fit(arguments: FitArgs) -> Fit {
    let ScoringStrategy { kind, resources, requested_to_capacity_ratio: Shape { shape } } = arguments.scoring_strategy;
    Fit {
        strategy: match kind.as_str() {
            "MostAllocated" => Strategy::MostAllocated,
            "RequestedToCapacityRatio" => Strategy::RequestedToCapacityRatio(
                shape.iter().map(|it| (it.utilization, it.score * MAX_NODE_SCORE / SHAPE_SCORE_MAX)).collect(),
            ),
            _ => Strategy::LeastAllocated,
        },
        scored: scored(resources),
        ignored: arguments.ignored_resources,
        ignored_groups: arguments.ignored_resource_groups,
    }
}

/// What the arguments of plugins say.
struct Stated {
    plugins: plugins::Arguments,
    spreading: Defaults,
    candidates: (usize, usize),
    bind_timeout: Duration,
}

impl Default for Stated {
    fn default() -> Self {
        let plugins = plugins::Arguments {
            fit: fit(FitArgs::default()),
            balanced: vec![Resource::Cpu, Resource::Memory],
            added_affinity: None,
            hard_pod_affinity_weight: HARD_POD_AFFINITY_WEIGHT,
            ignore_preferred_terms: false,
        };
        Self { plugins, spreading: Defaults::System, candidates: CANDIDATES, bind_timeout: BIND_TIMEOUT }
    }
}

split! {
    rare,
    /// Reads the arguments of plugins, which few schedulers are given; or says which cannot be read.
    fn stated(config: Vec<PluginConfig>) -> Result<Stated, String> {
        read_all(&config)
    }
}

fn read_all(config: &[PluginConfig]) -> Result<Stated, String> {
    let spread: PodTopologySpreadArgs = read(config, "PodTopologySpread")?;
    let preemption: DefaultPreemptionArgs = read(config, "DefaultPreemption")?;
    let affinity: InterPodAffinityArgs = read(config, "InterPodAffinity")?;
    let balanced = read::<BalancedAllocationArgs>(config, "NodeResourcesBalancedAllocation")?.resources;
    let seconds = read::<VolumeBindingArgs>(config, "VolumeBinding")?.bind_timeout_seconds;
    let count = |stated: Option<i32>, default| stated.map_or(default, |it| it.try_into().unwrap_or_default());
    Ok(Stated {
        plugins: plugins::Arguments {
            fit: fit(read(config, "NodeResourcesFit")?),
            balanced: scored(balanced).into_iter().map(|(resource, _)| resource).collect(),
            added_affinity: read::<NodeAffinityArgs>(config, "NodeAffinity")?.added_affinity,
            hard_pod_affinity_weight: affinity.hard_pod_affinity_weight.unwrap_or(HARD_POD_AFFINITY_WEIGHT),
            ignore_preferred_terms: affinity.ignore_preferred_terms_of_existing_pods,
        },
        spreading: match spread.defaulting_type.as_deref() {
            Some("List") => Defaults::List(spread.default_constraints),
            _ => Defaults::System,
        },
        candidates: (
            count(preemption.min_candidate_nodes_percentage, CANDIDATES.0),
            count(preemption.min_candidate_nodes_absolute, CANDIDATES.1),
        ),
        bind_timeout: seconds.map_or(BIND_TIMEOUT, |it| Duration::from_secs(it.try_into().unwrap_or_default())),
    })
}

split! {
    rare,
    /// [`Configuration::check`].
    fn checked(configuration: Configuration) -> Result<(), String> {
        let invalid = invalid_fields(&configuration);
        match invalid.as_slice() {
            [] => configuration.profiles.iter().try_for_each(check_plugins),
            [one] => Err(one.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }
}

/// Upstream's `ValidateKubeSchedulerConfiguration`.
fn invalid_fields(configuration: &Configuration) -> Vec<String> {
    let mut invalid = Vec::new();
    let mut refuse = |bad: bool, field: String, value: &dyn std::fmt::Display, why: &str| {
        if bad {
            invalid.push(format!("{field}: Invalid value: {value}: {why}"));
        }
    };
    let share = configuration.percentage_of_nodes_to_score.unwrap_or(0);
    refuse(share > 100, "percentageOfNodesToScore".into(), &share, "not in valid range [0-100]");
    let (first, longest) = configuration.backoff();
    let (first, longest) = (first.as_secs(), longest.as_secs());
    refuse(first == 0, "podInitialBackoffSeconds".into(), &first, "must be greater than 0");
    let why = "must be greater than or equal to PodInitialBackoffSeconds";
    refuse(longest < first, "podMaxBackoffSeconds".into(), &longest, why);
    let mut duplicates = Vec::new();
    for (index, profile) in configuration.profiles.iter().enumerate() {
        let path = format!("profiles[{index}]");
        let share = profile.percentage_of_nodes_to_score.unwrap_or(0);
        refuse(share > 100, format!("{path}.percentageOfNodesToScore"), &share, "not in valid range [0-100]");
        let earlier = configuration.profiles.iter().take(index);
        if earlier.map(ProfileConfiguration::name).any(|name| name == profile.name()) {
            duplicates.push(format!("{path}.schedulerName: Duplicate value: {:?}", profile.name()));
        }
        for (at, config) in profile.plugin_config.iter().enumerate() {
            let path = format!("{path}.pluginConfig[{at}]");
            if profile.plugin_config.iter().take(at).any(|it| it.name == config.name) {
                duplicates.push(format!("{path}: Duplicate value: {:?}", config.name));
            }
            for (plugin, argument, most, why) in [
                (
                    "VolumeBinding",
                    "bindTimeoutSeconds",
                    i64::MAX,
                    "invalid BindTimeoutSeconds, should not be a negative value",
                ),
                ("InterPodAffinity", "hardPodAffinityWeight", 100, "not in valid range [0, 100]"),
                ("DefaultPreemption", "minCandidateNodesPercentage", 100, "not in valid range [0, 100]"),
                ("DefaultPreemption", "minCandidateNodesAbsolute", i64::MAX, "not in valid range [0, inf)"),
            ] {
                if let Some(value) = config.args[argument].as_i64().filter(|_| config.name == plugin) {
                    refuse(value < 0 || value > most, format!("{path}.args.{argument}"), &value, why);
                }
            }
        }
    }
    invalid.append(&mut duplicates);
    for (index, profile) in configuration.profiles.iter().enumerate() {
        invalid.extend(read_all(&profile.plugin_config).err().map(|why| format!("decoding .profiles[{index}].{why}")));
        let unknown = profile.plugins.keys().filter(|it| *it != "multiPoint" && !POINTS.contains(&it.as_str()));
        let path = format!("profiles[{index}].plugins");
        invalid.extend(unknown.map(|it| format!("strict decoding error: unknown field \"{path}.{it}\"")));
    }
    invalid
}

/// Whether a profile's plugins are there, at points that they extend (upstream's `NewFramework`).
fn check_plugins(profile: &ProfileConfiguration) -> Result<(), String> {
    let failed = |why: String| {
        Err(format!("initializing profiles: creating profile for scheduler name {}: {why}", profile.name()))
    };
    let upper = |point: &str| point.get(..1).unwrap_or_default().to_uppercase() + point.get(1..).unwrap_or_default();
    let extended = |name: &str| PLUGINS.iter().find(|(plugin, _)| *plugin == name).map(|(_, points)| *points);
    let at = |point: &str| profile.plugins.get(point).map(|set| set.enabled.as_slice()).unwrap_or_default();
    for point in POINTS.iter().chain(&["multiPoint"]) {
        for (index, Plugin { name, .. }) in at(point).iter().enumerate() {
            let (multi, kind) = (*point == "multiPoint", upper(point) + "Plugin");
            let kind = if multi { "PreFilterPlugin" } else { &kind };
            match extended(name) {
                None => return failed(format!("{kind} {name:?} does not exist")),
                Some(points) if !multi && points.split(' ').all(|it| it != *point) => {
                    return failed(format!("plugin {name:?} does not extend {kind} plugin"));
                }
                Some(_) if at(point).iter().take(index).any(|it| it.name == *name) => {
                    return failed(format!("plugin {name:?} already registered as {kind:?}"));
                }
                Some(_) => {}
            }
        }
    }
    let runs = |point: &str| {
        let extends = |(_, points): &&(&str, &str)| points.split(' ').any(|it| it == point);
        PLUGINS.iter().filter(extends).any(|(name, _)| profile.runs(point, name))
    };
    let name = profile.name();
    if !runs("queueSort") {
        return failed(format!(
            "only one queue sort plugin required for profile with scheduler name {name:?}, but got 0"
        ));
    }
    if !runs("bind") {
        return failed(format!("at least one bind plugin is needed for profile with scheduler name {name:?}"));
    }
    Ok(())
}

impl ProfileConfiguration {
    /// The name by which pods ask for it.
    pub fn name(&self) -> &str {
        self.scheduler_name.as_deref().unwrap_or(DEFAULT_SCHEDULER_NAME)
    }

    /// Whether a plugin runs at a point. What is said of a point goes before what is said of all.
    fn runs(&self, point: &str, name: &str) -> bool {
        let said = |point: &str| self.plugins.get(point).and_then(|set| set.runs(name));
        said(point).or_else(|| said("multiPoint")).unwrap_or(true)
    }
}

impl Profile {
    fn new(configuration: &ProfileConfiguration) -> Self {
        let stated = match configuration.plugin_config.as_slice() {
            [] => Stated::default(),
            // Without the code that reads them, those of upstream hold.
            given => split::at_once(stated(given.to_vec())).ok().and_then(Result::ok).unwrap_or_default(),
        };
        let Stated { plugins: plugin_arguments, spreading, candidates, bind_timeout } = stated;
        let mut filters = plugins::filters(&plugin_arguments);
        filters.retain(|plugin| configuration.runs("filter", plugin.name()));
        let mut scorers = plugins::scorers(&plugin_arguments);
        scorers.retain(|plugin| configuration.runs("score", plugin.name()));
        let weight = |name: &str| {
            let mut sets = ["score", "multiPoint"].into_iter().filter_map(|point| configuration.plugins.get(point));
            sets.find_map(|set| set.weight(name))
        };
        let scorers: Vec<_> = scorers
            .into_iter()
            .map(|plugin| {
                let weight = weight(plugin.name()).unwrap_or_else(|| plugin.weight());
                (plugin, weight)
            })
            .collect();
        Self {
            name: configuration.name().to_owned(),
            scorer_names: scorers.iter().map(|(plugin, _)| plugin.name()).collect(),
            filters,
            scorers,
            preempts: configuration.runs("postFilter", "DefaultPreemption"),
            spreading,
            candidates,
            bind_timeout,
            percentage: configuration.percentage_of_nodes_to_score,
        }
    }
}

impl Configuration {
    /// Whether kube-scheduler would start with it.
    ///
    /// # Errors
    /// What it ends with.
    pub fn check(&self) -> Result<(), String> {
        split::at_once(checked(self.clone())).map_err(|error| error.to_string())?
    }

    pub(crate) fn profiles(&self) -> Vec<Profile> {
        let default = [ProfileConfiguration::default()];
        let profiles = if self.profiles.is_empty() { &default[..] } else { &self.profiles };
        profiles.iter().map(Profile::new).collect()
    }

    pub(crate) fn backoff(&self) -> (Duration, Duration) {
        let seconds = |stated: Option<u64>, default| Duration::from_secs(stated.unwrap_or(default));
        (seconds(self.pod_initial_backoff_seconds, 1), seconds(self.pod_max_backoff_seconds, 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_have_the_arguments_that_are_stated() {
        let fit = |args: serde_json::Value| {
            let name = "NodeResourcesFit".to_owned();
            super::fit(read(&[PluginConfig { name, args }], "NodeResourcesFit").unwrap())
        };
        assert_eq!(fit(Value::Null).scored, [(Resource::Cpu, 1), (Resource::Memory, 1)]);
        let stated = fit(serde_json::json!({
            "ignoredResourceGroups": ["example.com"],
            "scoringStrategy": {
                "type": "RequestedToCapacityRatio",
                "resources": [{ "name": "nvidia.com/gpu", "weight": 5 }, { "name": "cpu" }],
                "requestedToCapacityRatio": { "shape": [{ "utilization": 0, "score": 0 }, { "utilization": 100, "score": 10 }] },
            },
        }));
        assert_eq!(stated.strategy, Strategy::RequestedToCapacityRatio(vec![(0, 0), (100, 100)]));
        assert_eq!(stated.scored, [(Resource::Scalar("nvidia.com/gpu".into()), 5), (Resource::Cpu, 1)]);
        assert_eq!(stated.ignored_groups, ["example.com"]);
        let configuration: ProfileConfiguration = serde_json::from_value(serde_json::json!({
            "percentageOfNodesToScore": 20,
            "pluginConfig": [
                { "name": "PodTopologySpread", "args": { "defaultingType": "List", "defaultConstraints": [
                    { "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule" },
                ] } },
                { "name": "DefaultPreemption", "args": { "minCandidateNodesAbsolute": 7 } },
                { "name": "VolumeBinding", "args": { "bindTimeoutSeconds": 30 } },
            ],
        }))
        .unwrap();
        let profile = Profile::new(&configuration);
        assert!(matches!(&profile.spreading, Defaults::List(listed) if listed.len() == 1));
        assert_eq!((profile.candidates, profile.percentage), ((10, 7), Some(20)));
        assert_eq!(profile.bind_timeout, Duration::from_secs(30));
    }

    #[test]
    fn what_kube_scheduler_would_not_start_with_is_refused() {
        let check = |profile: serde_json::Value| {
            let configuration = serde_json::json!({ "profiles": [profile] });
            serde_json::from_value::<Configuration>(configuration).unwrap().check()
        };
        let failed = |why: &str| {
            Err(format!("initializing profiles: creating profile for scheduler name default-scheduler: {why}"))
        };
        for (plugins, expected) in [
            (serde_json::json!({ "score": { "disabled": [{ "name": "Typo" }] } }), Ok(())),
            (serde_json::json!({ "preEnqueue": { "enabled": [{ "name": "DefaultPreemption" }] } }), Ok(())),
            (
                serde_json::json!({ "score": { "enabled": [{ "name": "Typo" }] } }),
                failed("ScorePlugin \"Typo\" does not exist"),
            ),
            (
                serde_json::json!({ "multiPoint": { "enabled": [{ "name": "Typo" }] } }),
                failed("PreFilterPlugin \"Typo\" does not exist"),
            ),
            (
                serde_json::json!({ "filter": { "enabled": [{ "name": "ImageLocality" }] } }),
                failed("plugin \"ImageLocality\" does not extend FilterPlugin plugin"),
            ),
            (
                serde_json::json!({ "score": { "enabled": [{ "name": "ImageLocality" }, { "name": "ImageLocality" }] } }),
                failed("plugin \"ImageLocality\" already registered as \"ScorePlugin\""),
            ),
            (
                serde_json::json!({ "bind": { "disabled": [{ "name": "*" }] } }),
                failed("at least one bind plugin is needed for profile with scheduler name \"default-scheduler\""),
            ),
            (
                serde_json::json!({ "scores": {} }),
                Err("strict decoding error: unknown field \"profiles[0].plugins.scores\"".into()),
            ),
        ] {
            assert_eq!(check(serde_json::json!({ "plugins": plugins })), expected, "{plugins}");
        }
        let volumes = serde_json::json!({ "name": "VolumeBinding", "args": { "bindTimeoutSeconds": -1 } });
        assert_eq!(
            check(serde_json::json!({ "percentageOfNodesToScore": 101, "pluginConfig": [volumes] })).unwrap_err(),
            "[profiles[0].percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100], \
             profiles[0].pluginConfig[0].args.bindTimeoutSeconds: Invalid value: -1: \
             invalid BindTimeoutSeconds, should not be a negative value]"
        );
        let preemption =
            serde_json::json!({ "name": "DefaultPreemption", "args": { "minCandidateNodesAbsolute": -1 } });
        assert_eq!(
            check(serde_json::json!({ "pluginConfig": [preemption] })).unwrap_err(),
            "profiles[0].pluginConfig[0].args.minCandidateNodesAbsolute: Invalid value: -1: not in valid range [0, inf)"
        );
        let affinity = serde_json::json!({ "name": "InterPodAffinity", "args": { "hardPodAffinityWeight": "a" } });
        let unread = check(serde_json::json!({ "pluginConfig": [affinity] })).unwrap_err();
        assert!(unread.starts_with("decoding .profiles[0].pluginConfig[0]: decoding args for plugin InterPodAffinity"));
    }

    #[test]
    fn a_profile_differs_from_the_default_as_it_says() {
        let configuration: Configuration = serde_json::from_value(serde_json::json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "profiles": [{
                "schedulerName": "packing",
                "plugins": {
                    "score": { "disabled": [{ "name": "*" }], "enabled": [{ "name": "NodeResourcesFit", "weight": 5 }] },
                    "filter": { "disabled": [{ "name": "NodePorts" }] },
                    "postFilter": { "disabled": [{ "name": "DefaultPreemption" }] },
                },
            }],
        }))
        .unwrap();
        let [profile] = &configuration.profiles()[..] else { panic!("one profile") };
        assert_eq!((profile.name.as_str(), profile.preempts), ("packing", false));
        assert_eq!(
            profile.scorers.iter().map(|(it, weight)| (it.name(), *weight)).collect::<Vec<_>>(),
            [("NodeResourcesFit", 5)]
        );
        let named: Configuration = serde_json::from_value(serde_json::json!({ "profiles": [{ "plugins": {
            "multiPoint": { "enabled": [{ "name": "TaintToleration" }, { "name": "NodeAffinity", "weight": 7 }] },
        } }] }))
        .unwrap();
        let weight = |name: &str| named.profiles()[0].scorers.iter().find(|(it, _)| it.name() == name).map(|it| it.1);
        assert_eq!(["TaintToleration", "NodeAffinity", "PodTopologySpread"].map(weight), [Some(1), Some(7), Some(2)]);
        assert!(profile.filters.iter().all(|it| it.name() != "NodePorts"));
        let configuration: Configuration = serde_json::from_value(serde_json::json!({ "profiles": [{ "plugins": {
            "multiPoint": { "disabled": [{ "name": "*" }] },
            "filter": { "enabled": [{ "name": "NodePorts" }] },
            "queueSort": { "enabled": [{ "name": "PrioritySort" }] },
            "bind": { "enabled": [{ "name": "DefaultBinder" }] },
        } }] }))
        .unwrap();
        assert_eq!(configuration.check(), Ok(()));
        let profile = &configuration.profiles()[0];
        assert_eq!(profile.filters.iter().map(|it| it.name()).collect::<Vec<_>>(), ["NodePorts"]);
        assert_eq!((profile.scorers.len(), profile.preempts), (0, false));
        let default = &Configuration::default().profiles()[0];
        assert_eq!((default.filters.len(), default.scorers.len(), default.preempts), (12, 7, true));
    }
}
