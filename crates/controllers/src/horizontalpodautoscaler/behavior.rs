//! How fast and how soon the number may change: windows and policies of each direction
//! (`spec.behavior`, KEP-853).

use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HPAScalingRules;
use machinery::Timestamp;
use machinery::quantity::Quantity;
use machinery::time::since;

use super::replicas::TOLERANCE;

/// How long the highest recommendation counts before fewer pods are wanted, unless said otherwise.
const STABILIZATION_DOWN: i32 = 300;

/// What is remembered of an autoscaler's past.
#[derive(Default)]
pub(super) struct Memory {
    recommendations: Vec<(Timestamp, i32)>,
    /// How many pods were added and removed when.
    ups: Vec<(Timestamp, i32)>,
    downs: Vec<(Timestamp, i32)>,
}

impl Memory {
    /// The first recommendation is what there is, so that nothing shrinks just because this process is
    /// new (upstream recordInitialRecommendation).
    pub fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    /// That the number was changed, kept for as long as the direction's policies look back.
    pub fn changed(&mut self, from: i32, to: i32, rules: &Rules, now: Timestamp) {
        let events = if to > from { &mut self.ups } else { &mut self.downs };
        let longest = rules.policies.iter().map(|(_, _, seconds)| *seconds).max().unwrap_or(0);
        events.retain(|(time, _)| since(*time, now) < Duration::from_secs(u64::try_from(longest).unwrap_or(0)));
        events.push((now, (to - from).abs()));
    }

    /// Holds a change back by the windows, in seconds (upstream stabilizeRecommendation, and
    /// stabilizeRecommendationWithBehaviors).
    pub fn stabilize(
        &mut self,
        (up, down): (i32, i32),
        current: i32,
        wanted: i32,
        now: Timestamp,
    ) -> (i32, &'static str) {
        let window = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let within = |seconds: i32| {
            let recent = self.recommendations.iter().filter(move |(time, _)| since(*time, now) < window(seconds));
            recent.map(|(_, wanted)| *wanted)
        };
        let least = within(up).min().unwrap_or(wanted).min(wanted);
        let most = within(down).max().unwrap_or(wanted).max(wanted);
        let longest = window(up.max(down));
        self.recommendations.retain(|(time, _)| since(*time, now) < longest);
        self.recommendations.push((now, wanted));
        let stable = current.max(least).min(most);
        let reason = match stable {
            _ if stable == wanted => "ReadyForNewScale",
            _ if wanted >= current => "ScaleUpStabilized",
            _ => "ScaleDownStabilized",
        };
        (stable, reason)
    }
}

/// A direction's behaviour with its defaults.
pub(super) struct Rules {
    select: String,
    pub window: i32,
    /// In thousandths.
    pub tolerance: i128,
    /// Type, value, period in seconds.
    policies: Vec<(String, i32, i32)>,
}

/// What is stated of a direction, with defaults where nothing is.
pub(super) fn rules(stated: Option<&HPAScalingRules>, up: bool) -> Rules {
    let default: &[(&str, i32, i32)] =
        if up { &[("Pods", 4, 15), ("Percent", 100, 15)] } else { &[("Percent", 100, 15)] };
    let policies = stated.and_then(|it| it.policies.as_ref()).filter(|it| !it.is_empty());
    Rules {
        select: stated.and_then(|it| it.select_policy.clone()).unwrap_or_else(|| "Max".into()),
        tolerance: stated
            .and_then(|it| Quantity::try_from(it.tolerance.as_ref()?).ok())
            .map_or(TOLERANCE, |tolerance| tolerance.milli_value().into()),
        window: stated.and_then(|it| it.stabilization_window_seconds).unwrap_or(if up {
            0
        } else {
            STABILIZATION_DOWN
        }),
        policies: match policies {
            Some(policies) => policies.iter().map(|it| (it.type_.clone(), it.value, it.period_seconds)).collect(),
            None => default.iter().map(|(kind, value, period)| ((*kind).to_owned(), *value, *period)).collect(),
        },
    }
}

/// How far a direction's policies let the number go (upstream calculateScaleUpLimitWithScalingRules).
pub(super) fn limit(rules: &Rules, memory: &Memory, current: i32, up: bool, now: Timestamp) -> i32 {
    if rules.select == "Disabled" {
        return current;
    }
    let limits = rules.policies.iter().map(|(kind, value, seconds)| {
        let period = Duration::from_secs(u64::try_from(*seconds).unwrap_or(0));
        let within = |events: &[(Timestamp, i32)]| -> i64 {
            events.iter().filter(|(time, _)| since(*time, now) < period).map(|(_, count)| i64::from(*count)).sum()
        };
        let start = i64::from(current) - within(&memory.ups) + within(&memory.downs);
        let value = i64::from(*value);
        match (kind.as_str(), up) {
            ("Pods", true) => start.saturating_add(value),
            ("Pods", false) => start.saturating_sub(value),
            (_, true) => start.saturating_mul(100 + value).saturating_add(99).div_euclid(100),
            (_, false) => start.saturating_mul(100 - value).div_euclid(100),
        }
    });
    let widest = (rules.select == "Max") == up;
    let limit = if widest { limits.max() } else { limits.min() };
    let limit = limit.map_or(current, |it| i32::try_from(it).unwrap_or(if it < 0 { 0 } else { i32::MAX }));
    if up { limit.max(current) } else { limit.clamp(0, current.max(0)) }
}

/// How far the number may go up at once where no behaviour is stated (upstream calculateScaleUpLimit).
pub(super) fn default_limit(current: i32) -> i32 {
    current.saturating_mul(2).max(4)
}

/// A number within what the target's limits and the pace of both directions allow, and what the condition
/// ScalingLimited says of it (upstream normalizeDesiredReplicas, and normalizeDesiredReplicasWithBehaviors).
pub(super) fn bounded(
    stable: i32,
    current: i32,
    (minimum, maximum): (i32, i32),
    (lowest, highest): (i32, i32),
) -> (i32, bool, &'static str, &'static str) {
    let (floor, ceiling) = (minimum.max(lowest), maximum.min(highest.max(current)));
    let bounded = stable.clamp(floor.min(ceiling), ceiling);
    let (limited, reason, message) = match (stable > bounded, stable < bounded) {
        (true, _) if bounded == maximum => {
            (true, "TooManyReplicas", "the desired replica count is more than the maximum replica count")
        }
        (true, _) => {
            (true, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
        }
        (_, true) if bounded == minimum => {
            (true, "TooFewReplicas", "the desired replica count is less than the minimum replica count")
        }
        (_, true) => {
            (true, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
        }
        _ => (false, "DesiredWithinRange", "the desired count is within the acceptable range"),
    };
    (bounded, limited, reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn policies_limit_the_pace() {
        let added = |ups: &[(Timestamp, i32)]| Memory { ups: ups.to_vec(), ..Memory::default() };
        let up = rules(None, true);
        assert_eq!(limit(&up, &added(&[]), 1, true, at(100)), 5);
        assert_eq!(limit(&up, &added(&[]), 10, true, at(100)), 20);
        assert_eq!(limit(&up, &added(&[(at(90), 4)]), 5, true, at(100)), 5, "four were added within the period");
        let down = rules(None, false);
        assert_eq!(limit(&down, &added(&[]), 10, false, at(100)), 0);
        let slow =
            Rules { select: "Max".into(), window: 0, tolerance: TOLERANCE, policies: vec![("Pods".into(), 1, 60)] };
        assert_eq!(limit(&slow, &added(&[]), 10, false, at(100)), 9);
        let removed = Memory { downs: vec![(at(90), 1)], ..Memory::default() };
        assert_eq!(limit(&slow, &removed, 9, false, at(100)), 9);
        let huge = Rules {
            select: "Max".into(),
            window: 0,
            tolerance: TOLERANCE,
            policies: vec![("Percent".into(), i32::MAX, 60)],
        };
        assert_eq!(limit(&huge, &added(&[]), i32::MAX, true, at(100)), i32::MAX);
        assert_eq!(limit(&huge, &added(&[]), 10, false, at(100)), 0);
        assert_eq!([1, 2, 10].map(default_limit), [4, 4, 20]);
    }

    #[test]
    fn fewer_are_wanted_only_after_the_window() {
        let mut memory = Memory::default();
        memory.begin(5, at(0));
        assert_eq!(memory.stabilize((0, 300), 5, 1, at(15)), (5, "ScaleDownStabilized"));
        assert_eq!(memory.stabilize((0, 300), 5, 8, at(30)).0, 8);
        memory.begin(1, at(40));
        assert_eq!(memory.stabilize((0, 300), 8, 1, at(329)), (8, "ScaleDownStabilized"));
        assert_eq!(memory.stabilize((0, 300), 8, 1, at(330)), (1, "ReadyForNewScale"), "the window's end is outside");
    }
}
