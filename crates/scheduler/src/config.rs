//! KubeSchedulerConfiguration, as far as it means something here (kubescheduler.config.k8s.io/v1).

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

/// Plugins by extension point.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Plugins {
    /// At all points.
    pub multi_point: PluginSet,
    /// At the Filter point.
    pub filter: PluginSet,
    /// At the Score point.
    pub score: PluginSet,
    /// After no node was found: `DefaultPreemption`.
    pub post_filter: PluginSet,
}

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
    /// Its score's weight; 0 for the default.
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

    fn weight(&self, name: &str) -> Option<i64> {
        self.enabled.iter().find(|it| it.name == name && it.weight > 0).map(|it| it.weight)
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
    min_candidate_nodes_percentage: Option<usize>,
    min_candidate_nodes_absolute: Option<usize>,
}

/// Arguments of `InterPodAffinity`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InterPodAffinityArgs {
    hard_pod_affinity_weight: Option<i64>,
    ignore_preferred_terms_of_existing_pods: bool,
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

/// A plugin's arguments; those of upstream where they cannot be read.
fn read<T: DeserializeOwned + Default>(arguments: Value) -> T {
    serde_json::from_value(arguments).unwrap_or_default()
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
        Self { plugins, spreading: Defaults::System, candidates: CANDIDATES }
    }
}

split! {
    rare,
    /// Reads the arguments of plugins, which few schedulers are given.
    fn stated(config: Vec<PluginConfig>) -> Stated {
        let arguments = |plugin: &str| {
            config.iter().find(|it| it.name == plugin).map(|it| it.args.clone()).unwrap_or_default()
        };
        let spread: PodTopologySpreadArgs = read(arguments("PodTopologySpread"));
        let preemption: DefaultPreemptionArgs = read(arguments("DefaultPreemption"));
        let affinity: InterPodAffinityArgs = read(arguments("InterPodAffinity"));
        let balanced = read::<BalancedAllocationArgs>(arguments("NodeResourcesBalancedAllocation")).resources;
        Stated {
            plugins: plugins::Arguments {
                fit: fit(read(arguments("NodeResourcesFit"))),
                balanced: scored(balanced).into_iter().map(|(resource, _)| resource).collect(),
                added_affinity: read::<NodeAffinityArgs>(arguments("NodeAffinity")).added_affinity,
                hard_pod_affinity_weight: affinity.hard_pod_affinity_weight.unwrap_or(HARD_POD_AFFINITY_WEIGHT),
                ignore_preferred_terms: affinity.ignore_preferred_terms_of_existing_pods,
            },
            spreading: match spread.defaulting_type.as_deref() {
                Some("List") => Defaults::List(spread.default_constraints),
                _ => Defaults::System,
            },
            candidates: (
                preemption.min_candidate_nodes_percentage.unwrap_or(CANDIDATES.0),
                preemption.min_candidate_nodes_absolute.unwrap_or(CANDIDATES.1),
            ),
        }
    }
}

impl Profile {
    fn new(configuration: &ProfileConfiguration) -> Self {
        let Plugins { multi_point, filter, score, post_filter } = &configuration.plugins;
        let stated = match configuration.plugin_config.as_slice() {
            [] => Stated::default(),
            // Without the code that reads them, those of upstream hold.
            given => split::at_once(stated(given.to_vec())).unwrap_or_default(),
        };
        let Stated { plugins: plugin_arguments, spreading, candidates } = stated;
        // What is said of a point goes before what is said of all.
        let runs = |set: &PluginSet, name: &str| set.runs(name).or_else(|| multi_point.runs(name)).unwrap_or(true);
        let mut filters = plugins::filters(&plugin_arguments);
        filters.retain(|plugin| runs(filter, plugin.name()));
        let mut scorers = plugins::scorers(&plugin_arguments);
        scorers.retain(|plugin| runs(score, plugin.name()));
        let weight = |name: &str| score.weight(name).or_else(|| multi_point.weight(name));
        let scorers: Vec<_> = scorers
            .into_iter()
            .map(|plugin| {
                let weight = weight(plugin.name()).unwrap_or_else(|| plugin.weight());
                (plugin, weight)
            })
            .collect();
        Self {
            name: configuration.scheduler_name.clone().unwrap_or_else(|| DEFAULT_SCHEDULER_NAME.into()),
            scorer_names: scorers.iter().map(|(plugin, _)| plugin.name()).collect(),
            filters,
            scorers,
            preempts: runs(post_filter, "DefaultPreemption"),
            spreading,
            candidates,
            percentage: configuration.percentage_of_nodes_to_score,
        }
    }
}

impl Configuration {
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
        let fit = |args: serde_json::Value| super::fit(read(args));
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
            ],
        }))
        .unwrap();
        let profile = Profile::new(&configuration);
        assert!(matches!(&profile.spreading, Defaults::List(listed) if listed.len() == 1));
        assert_eq!((profile.candidates, profile.percentage), ((10, 7), Some(20)));
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
        assert!(profile.filters.iter().all(|it| it.name() != "NodePorts"));
        let configuration: Configuration = serde_json::from_value(serde_json::json!({ "profiles": [{ "plugins": {
            "multiPoint": { "disabled": [{ "name": "*" }] },
            "filter": { "enabled": [{ "name": "NodePorts" }] },
        } }] }))
        .unwrap();
        let profile = &configuration.profiles()[0];
        assert_eq!(profile.filters.iter().map(|it| it.name()).collect::<Vec<_>>(), ["NodePorts"]);
        assert_eq!((profile.scorers.len(), profile.preempts), (0, false));
        let default = &Configuration::default().profiles()[0];
        assert_eq!((default.filters.len(), default.scorers.len(), default.preempts), (12, 7, true));
    }
}
