//! JSON as Kubernetes' decoder sees it, and the fields that kinds have.
#![no_main]

use machinery::{GroupVersionKind, json, schema};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let decoded = json::decode(bytes);
    let _ = json::decode_first(bytes);
    assert_eq!(decoded.is_ok(), serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
    let Ok(decoded) = decoded else { return };
    for (api_version, kind) in [("v1", "Pod"), ("apps/v1", "Deployment"), ("autoscaling/v2", "HorizontalPodAutoscaler")]
    {
        let kind = GroupVersionKind::from_api_version(api_version, kind);
        let _ = schema::unknown_fields(&kind, &decoded.value);
        let _ = schema::type_mismatch(&kind, &decoded.value);
    }
});
