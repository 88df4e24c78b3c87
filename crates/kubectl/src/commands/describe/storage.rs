//! Claims, volumes and storage classes.

use machinery::sort::Order;
use serde_json::Value;

use super::page::{Page, long_time, or, plain, timestamp};
use super::pod;
use crate::api::Url;
use crate::error::Error;
use crate::resources::{items, text};
use crate::select;
use crate::session::Session;

/// `RWO,ROX`
fn modes(value: &Value) -> String {
    let short = |mode: String| match mode.as_str() {
        "ReadWriteOnce" => "RWO".to_owned(),
        "ReadOnlyMany" => "ROX".to_owned(),
        "ReadWriteMany" => "RWX".to_owned(),
        "ReadWriteOncePod" => "RWOP".to_owned(),
        _ => mode,
    };
    items(value).map(|mode| short(text(mode))).collect::<Vec<_>>().join(",")
}

fn finalizers(object: &Value) -> String {
    let names: Vec<String> = items(&object["metadata"]["finalizers"]).map(text).collect();
    format!("[{}]", names.join(" "))
}

fn status(page: &mut Page, object: &Value) {
    match timestamp(&object["metadata"]["deletionTimestamp"]) {
        Some(_) => {
            let age = page.age(&object["metadata"]["deletionTimestamp"]);
            page.field("Status", format!("Terminating (lasts {age})"));
        }
        None => page.field("Status", text(&object["status"]["phase"])),
    }
}

pub(super) async fn claim(session: &Session<'_>, page: &mut Page, object: &Value) -> Result<(), Error> {
    let spec = &object["spec"];
    page.name(object);
    page.field("StorageClass", text(&spec["storageClassName"]));
    status(page, object);
    page.field("Volume", text(&spec["volumeName"]));
    page.meta(object);
    page.field("Finalizers", finalizers(object));
    let bound = !text(&spec["volumeName"]).is_empty();
    page.field("Capacity", if bound { plain(&object["status"]["capacity"]["storage"]) } else { String::new() });
    page.field("Access Modes", if bound { modes(&object["status"]["accessModes"]) } else { String::new() });
    page.some("VolumeMode", &spec["volumeMode"]);
    let source = &spec["dataSource"];
    if !source.is_null() {
        page.line(0, "DataSource:");
        for (title, field) in [("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name")] {
            if !source[field].is_null() {
                page.line(1, format!("{title}:\t{}", text(&source[field])));
            }
        }
    }
    let namespace = text(&object["metadata"]["namespace"]);
    let pods = select::list_all(session, Url::new(format!("/api/v1/namespaces/{namespace}/pods"))).await?;
    let uses = |pod: &&Value| {
        items(&pod["spec"]["volumes"])
            .any(|volume| volume["persistentVolumeClaim"]["claimName"] == object["metadata"]["name"])
    };
    let mut users: Vec<String> = pods.iter().filter(uses).map(|pod| text(&pod["metadata"]["name"])).collect();
    users.order();
    page.list("Used By", users);
    Ok(())
}

/// What a claim says that is made for a pod alone.
pub(super) fn claim_template(page: &mut Page, claim: &Value) {
    let (metadata, spec) = (&claim["metadata"], &claim["spec"]);
    let mut one = Page::new(page.now);
    one.field("StorageClass", text(&spec["storageClassName"]));
    one.field("Volume", text(&spec["volumeName"]));
    one.labels("Labels", &metadata["labels"]);
    one.annotations("Annotations", &metadata["annotations"]);
    one.field("Capacity", "");
    one.field("Access Modes", "");
    one.some("VolumeMode", &spec["volumeMode"]);
    for line in one.unaligned().lines() {
        page.line(2, line);
    }
}

/// What a driver is told of a volume.
pub(super) fn attributes(page: &mut Page, attributes: &Value) {
    let pairs = attributes.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", text(value))).collect();
    match pairs.split_first() {
        None => page.line(2, "VolumeAttributes:\t    <none>"),
        Some((first, others)) => {
            page.line(2, format!("VolumeAttributes:\t    {first}"));
            others.iter().for_each(|other| page.line(4, format!("\t    {other}")));
        }
    }
}

pub(super) fn volume(page: &mut Page, object: &Value) {
    let spec = &object["spec"];
    page.field("Name", text(&object["metadata"]["name"]));
    page.meta(object);
    page.field("Finalizers", finalizers(object));
    page.field("StorageClass", text(&spec["storageClassName"]));
    status(page, object);
    let claim = &spec["claimRef"];
    match claim.is_null() {
        true => page.field("Claim", ""),
        false => page.field("Claim", format!("{}/{}", text(&claim["namespace"]), text(&claim["name"]))),
    }
    page.field("Reclaim Policy", text(&spec["persistentVolumeReclaimPolicy"]));
    page.field("Access Modes", modes(&spec["accessModes"]));
    page.some("VolumeMode", &spec["volumeMode"]);
    page.field("Capacity", plain(&spec["capacity"]["storage"]));
    let terms: Vec<&Value> = items(&spec["nodeAffinity"]["required"]["nodeSelectorTerms"]).collect();
    if terms.is_empty() {
        page.field("Node Affinity", "<none>");
    } else {
        page.line(0, "Node Affinity:\t");
        page.line(1, "Required Terms:\t");
        for (index, term) in terms.iter().enumerate() {
            for (place, expression) in items(&term["matchExpressions"]).enumerate() {
                let title = if place == 0 { format!("Term {index}:") } else { String::new() };
                let values: Vec<String> = items(&expression["values"]).map(text).collect();
                let operator = text(&expression["operator"]).to_lowercase();
                page.line(2, format!("{title}\t{} {operator} [{}]", text(&expression["key"]), values.join(", ")));
            }
        }
    }
    page.field("Message", text(&object["status"]["message"]));
    page.line(0, "Source:");
    let csi = &spec["csi"];
    if !csi.is_null() {
        page.line(2, "Type:\tCSI (a Container Storage Interface (CSI) volume source)");
        for (title, field) in
            [("Driver", "driver"), ("FSType", "fsType"), ("VolumeHandle", "volumeHandle"), ("ReadOnly", "readOnly")]
        {
            let value = plain(&csi[field]);
            page.line(2, format!("{title}:\t{}", if field == "readOnly" { or(&value, "false") } else { &value }));
        }
        attributes(page, &csi["volumeAttributes"]);
        return;
    }
    let mut one = Page::new(page.now);
    let mut source = spec.clone();
    source["name"] = "source".into();
    pod::volumes(&mut one, &Value::Array(vec![source]), "");
    for line in one.finish().lines().skip(2) {
        let (title, value) = line.trim_start().split_once(':').unwrap_or((line, ""));
        page.line(2, format!("{title}:\t{}", value.trim_start()));
    }
}

pub(super) fn csi_node(page: &mut Page, object: &Value) {
    page.field("Name", text(&object["metadata"]["name"]));
    page.meta(object);
    page.field("CreationTimestamp", long_time(&object["metadata"]["creationTimestamp"]));
    page.line(0, "Spec:");
    let drivers: Vec<&Value> = object["spec"]["drivers"].as_array().into_iter().flatten().collect();
    if !drivers.is_empty() {
        page.line(1, "Drivers:");
    }
    for driver in drivers {
        page.line(2, format!("{}:", text(&driver["name"])));
        page.line(3, format!("Node ID:\t{}", text(&driver["nodeID"])));
        let count = &driver["allocatable"]["count"];
        if !count.is_null() {
            page.line(3, "Allocatables:");
            page.line(4, format!("Count:\t{}", plain(count)));
        }
        if let Some(keys) = driver["topologyKeys"].as_array() {
            let keys: Vec<String> = keys.iter().map(text).collect();
            page.line(3, format!("Topology Keys:\t[{}]", keys.join(" ")));
        }
    }
}

pub(super) fn class(page: &mut Page, object: &Value) {
    page.field("Name", text(&object["metadata"]["name"]));
    let default = object["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
    page.field("IsDefaultClass", if default { "Yes" } else { "No" });
    let pairs = object["metadata"]["annotations"].as_object().into_iter().flatten();
    let annotations: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", text(value))).collect();
    page.field("Annotations", or(&annotations.join(","), "<none>"));
    page.field("Provisioner", text(&object["provisioner"]));
    page.field("Parameters", crate::print::table::format_labels(&object["parameters"]));
    let flag = |value: &Value| value.as_bool().map_or("<unset>", |flag| if flag { "True" } else { "False" });
    page.field("AllowVolumeExpansion", flag(&object["allowVolumeExpansion"]));
    let options: Vec<String> = items(&object["mountOptions"]).map(text).collect();
    if options.is_empty() {
        page.field("MountOptions", "<none>");
    } else {
        page.line(0, "MountOptions:");
        options.iter().for_each(|option| page.line(1, option));
    }
    page.field("ReclaimPolicy", text(&object["reclaimPolicy"]));
    page.field("VolumeBindingMode", text(&object["volumeBindingMode"]));
    let Some(terms) = object["allowedTopologies"].as_array() else { return };
    if terms.is_empty() {
        page.field("AllowedTopologies", "<none>");
        return;
    }
    page.line(0, "AllowedTopologies:\t");
    for (index, term) in terms.iter().enumerate() {
        let expressions: Vec<String> = items(&term["matchLabelExpressions"])
            .map(|one| {
                let values: Vec<String> = items(&one["values"]).map(text).collect();
                format!("{} in [{}]", text(&one["key"]), values.join(", "))
            })
            .collect();
        page.line(1, format!("Term {index}:\t{}", or(&expressions.join("\n  \t"), "<none>")));
    }
}
