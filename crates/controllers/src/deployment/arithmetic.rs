//! How many replicas each ReplicaSet of a Deployment may have: rollout arithmetic without a cluster
//! (`pkg/controller/deployment/util`).

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use machinery::intorstring::{Round, scaled_value};

/// Replicas the Deployment wants.
pub fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

/// Whether the strategy is RollingUpdate, which is also the default.
pub fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.strategy.as_ref();
    strategy.and_then(|strategy| strategy.type_.as_deref()).unwrap_or("RollingUpdate") == "RollingUpdate"
}

/// Surge (rounded up) and unavailability (rounded down) in replicas; if both come out as 0, one may be
/// unavailable, or else nothing would ever move.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    if !is_rolling(deployment) {
        return (0, 0);
    }
    let rolling = deployment.spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    // Validation keeps both well-formed; absent means what defaulting would have set.
    let scaled = |value: Option<_>, round| match value {
        Some(value) => scaled_value(value, wanted(deployment), round).unwrap_or(0),
        None => 0,
    };
    let surge = scaled(rolling.and_then(|rolling| rolling.max_surge.as_ref()), Round::Up);
    let unavailable = scaled(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), Round::Down);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

/// Replicas there may be above the wanted ones.
pub fn max_surge(deployment: &Deployment) -> i32 {
    fenceposts(deployment).0
}

/// Replicas there may be in all, as far as they can be counted.
pub fn max_replicas(deployment: &Deployment) -> i32 {
    wanted(deployment).saturating_add(max_surge(deployment))
}

/// Replicas that may be missing from the wanted ones.
pub fn max_unavailable(deployment: &Deployment) -> i32 {
    if wanted(deployment) == 0 { 0 } else { fenceposts(deployment).1.min(wanted(deployment)) }
}

/// Replicas a set is told to have.
pub fn size(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

/// Replicas of a set that are available.
pub fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// A number of replicas of several sets together, as far as it can be counted.
pub fn sum(counts: impl Iterator<Item = i32>) -> i32 {
    counts.fold(0, i32::saturating_add)
}

/// The size the new set may grow to, given the size of all sets together.
pub fn new_set_size(deployment: &Deployment, new: i32, total: i32) -> i32 {
    if !is_rolling(deployment) {
        return wanted(deployment);
    }
    let max_total = max_replicas(deployment);
    if total >= max_total {
        return new;
    }
    new + max_total.saturating_sub(total).min(wanted(deployment) - new)
}

/// Spreads a change of `to_add` replicas (negative to remove) over sets in proportion to their sizes:
/// the sizes they get, in the order given, the first taking what rounding leaves over. `before` is
/// the most replicas the Deployment could have when it was last scaled, for each set.
pub fn proportional_sizes(deployment: &Deployment, sizes: &[i32], before: &[i32], to_add: i32) -> Vec<i32> {
    let mut added = 0;
    let mut result: Vec<i32> = sizes
        .iter()
        .zip(before)
        .map(|(&size, &before)| {
            let share = proportion(deployment, size, before, to_add, added);
            added += share;
            size.saturating_add(share)
        })
        .collect();
    if let Some(first) = result.first_mut() {
        *first = first.saturating_add(to_add - added).max(0);
    }
    result
}

fn proportion(deployment: &Deployment, size: i32, before: i32, to_add: i32, added: i32) -> i32 {
    if size == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let fraction = if wanted(deployment) == 0 {
        -size
    } else if before == 0 {
        0
    } else {
        let max = max_replicas(deployment);
        let exact = f64::from(size) * f64::from(max) / f64::from(before);
        // At most i32::MAX replicas each, so the rounded share fits.
        exact.round() as i32 - size
    };
    let allowed = to_add - added;
    if to_add > 0 { fraction.min(allowed) } else { fraction.max(allowed) }
}

/// How many pods of old sets may go now, before those that are unavailable are looked at.
pub fn max_scaled_down(deployment: &Deployment, total: i32, new_size: i32, new_available: i32) -> i32 {
    let min_available = wanted(deployment) - max_unavailable(deployment);
    total.saturating_sub(min_available).saturating_sub(new_size - new_available)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(replicas: i32, surge: &str, unavailable: &str) -> Deployment {
        let number = |text: &str| text.parse::<i32>().map_or_else(|_| json!(text), |number| json!(number));
        serde_json::from_value(json!({
            "metadata": {},
            "spec": {
                "replicas": replicas, "selector": {}, "template": {},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": { "maxSurge": number(surge), "maxUnavailable": number(unavailable) },
                },
            },
        }))
        .unwrap()
    }

    #[test]
    fn surge_rounds_up_and_unavailability_down() {
        // replicas, maxSurge, maxUnavailable: replicas over, replicas missing
        let cases = [
            (4, "25%", "25%", 1, 1),
            (10, "25%", "25%", 3, 2),
            (3, "25%", "25%", 1, 0),
            (10, "0", "0%", 0, 1),
            (10, "0", "1", 0, 1),
            (2, "1", "5", 1, 2),
            (i32::MAX, "100%", "100%", i32::MAX, i32::MAX),
            (0, "25%", "25%", 0, 0),
        ];
        for (replicas, surge, unavailable, over, missing) in cases {
            let deployment = deployment(replicas, surge, unavailable);
            assert_eq!(max_surge(&deployment), over, "{replicas} {surge} {unavailable}");
            assert_eq!(max_unavailable(&deployment), missing, "{replicas} {surge} {unavailable}");
        }
    }

    #[test]
    fn the_new_set_grows_within_the_surge() {
        // replicas, maxSurge, new, total: size
        let cases = [
            (10, "0", 0, 10, 0),
            (10, "2", 0, 10, 2),
            (10, "50%", 0, 10, 5),
            (10, "2", 9, 9, 10),
            (10, "2", 2, 12, 2),
            (i32::MAX, "25%", 3, 3, i32::MAX),
        ];
        for (replicas, surge, new, total, size) in cases {
            assert_eq!(
                new_set_size(&deployment(replicas, surge, "1"), new, total),
                size,
                "{replicas} {surge} {new} {total}"
            );
        }
    }

    #[test]
    fn scaling_in_mid_rollout_is_proportional() {
        // What the Deployment is scaled to, sizes in order, the former most; then the new sizes.
        let cases = [
            (20, "0", vec![5, 5], 10, vec![10, 10]),
            (5, "0", vec![7, 3], 10, vec![3, 2]),
            (15, "0", vec![8, 2], 10, vec![12, 3]),
            (0, "0", vec![8, 2], 10, vec![0, 0]),
            (12, "2", vec![5, 5, 2], 12, vec![6, 6, 2]),
        ];
        for (replicas, surge, sizes, before, expected) in cases {
            let deployment = deployment(replicas, surge, "1");
            let allowed = if replicas > 0 { replicas + max_surge(&deployment) } else { 0 };
            let to_add = allowed - sizes.iter().sum::<i32>();
            let result = proportional_sizes(&deployment, &sizes, &vec![before; sizes.len()], to_add);
            assert_eq!(result, expected, "{replicas} {surge} {sizes:?}");
            assert_eq!(result.iter().sum::<i32>(), allowed);
        }
    }

    #[test]
    fn old_pods_go_only_beyond_what_must_stay_available() {
        // replicas, maxUnavailable, total, new size, new available: how many may go
        let cases = [(10, "0", 10, 0, 0, 0), (10, "2", 10, 0, 0, 2), (10, "2", 12, 2, 0, 2), (10, "2", 12, 2, 2, 4)];
        for (replicas, unavailable, total, new, new_available, expected) in cases {
            let deployment = deployment(replicas, "2", unavailable);
            assert_eq!(max_scaled_down(&deployment, total, new, new_available), expected);
        }
    }
}
