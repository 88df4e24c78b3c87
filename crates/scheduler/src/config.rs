//! KubeSchedulerConfiguration, as far as it means something here (kubescheduler.config.k8s.io/v1).

use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::framework::{Filter, Score};
use crate::plugins;
use crate::scheduler::DEFAULT_SCHEDULER_NAME;

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
    /// Arguments of plugins: `NodeResourcesFit` and `PodTopologySpread` have some.
    pub plugin_config: Vec<PluginConfig>,
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
    /// Whether pods that say nothing of spreading are spread.
    pub(crate) spreads: bool,
}

impl Profile {
    fn new(configuration: &ProfileConfiguration) -> Self {
        let Plugins { multi_point, filter, score, post_filter } = &configuration.plugins;
        let argument = |plugin: &str, pointer: &str| {
            let args = configuration.plugin_config.iter().find(|it| it.name == plugin)?.args.pointer(pointer)?;
            args.as_str().map(str::to_owned)
        };
        let most = argument("NodeResourcesFit", "/scoringStrategy/type").as_deref() == Some("MostAllocated");
        let listed = argument("PodTopologySpread", "/defaultingType").as_deref() == Some("List");
        // What is said of a point goes before what is said of all.
        let runs = |set: &PluginSet, name: &str| set.runs(name).or_else(|| multi_point.runs(name)).unwrap_or(true);
        let mut filters = plugins::filters();
        filters.retain(|plugin| runs(filter, plugin.name()));
        let mut scorers = plugins::scorers(most);
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
            spreads: !listed,
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
