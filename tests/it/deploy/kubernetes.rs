//! What kubectl, helm and the published schemas make of the files.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{rich, run};
use wasm_host_tests::host::{App, root};
use wasm_host_tests::kubernetes::{helm, kustomize, validated};

/// Objects by kind and name, without the namespace that a chart does not say.
fn by_name(objects: &[Value]) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for object in objects {
        let mut object = object.clone();
        object["metadata"].as_object_mut().unwrap().remove("namespace");
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        assert!(all.insert(name.clone(), object).is_none(), "{name} twice");
    }
    all
}

/// Everything that a cluster is to take is right for it, in each version, and the chart has the same objects as the base.
async fn is_right(app: &App, file: &str) -> BTreeMap<String, Value> {
    run(app, &["deploy", "kubernetes", file, "--output", "k8s"]).await;
    run(app, &["deploy", "helm", file, "--output", "chart"]).await;
    let (k8s, chart) = (app.path().join("k8s"), app.path().join("chart"));
    let base = kustomize(&k8s.join("base")).await;
    let local = kustomize(&k8s.join("overlays/local")).await;
    let production = kustomize(&k8s.join("overlays/production")).await;
    let lint = helm(&["lint", "--strict"], &chart).await;
    assert!(lint.contains("0 chart(s) failed"), "{lint}");
    let template = helm(&["template", "release"], &chart).await;
    let mut all = validated(&[&base, &local, &production, &template]).await.into_iter();
    let mut next = || by_name(&all.next().unwrap());
    let (mut base, local, production, template) = (next(), next(), next(), next());
    // The local overlay alone has values for it.
    let secret =
        |objects: &BTreeMap<String, Value>| objects.values().any(|it| it["kind"] == "Secret");
    assert!(secret(&local) && !secret(&base) && !secret(&production) && !secret(&template));
    assert_eq!(production.len(), base.len());
    base.retain(|name, _| !name.starts_with("\"Namespace\""));
    for (name, object) in &base {
        assert_eq!(Some(object), template.get(name), "{name} of the chart");
    }
    assert_eq!(base.len(), template.len());
    for object in local.values().filter(|object| object["kind"] == "Service") {
        let of_host = object["spec"]["ports"][0]["name"] == "http";
        let expected = if of_host { "NodePort" } else { "ClusterIP" };
        assert_eq!(object["spec"]["type"], expected, "{object:#}");
    }
    assert!(local.values().all(|object| object["kind"] != "HorizontalPodAutoscaler"));
    base
}

#[tokio::test]
async fn the_reference_application_is_right_for_every_version_of_kubernetes() {
    let app = App::new("");
    let base = is_right(&app, root().join("wasm-host.toml").to_str().unwrap()).await;
    let files = &base["\"ConfigMap\" \"aspiring-ollama-files\""]["data"];
    let script = std::fs::read_to_string(root().join("components/weather/sql/init.sql")).unwrap();
    assert_eq!(files["1-init.sql"], script);
}

#[tokio::test]
async fn an_application_with_everything_is_right_for_every_version_of_kubernetes() {
    let app = rich();
    let base = is_right(&app, "wasm-host.toml").await;
    // To the byte, through kustomize and helm, braces and marks of other notations included.
    let files = &base["\"ConfigMap\" \"shop-files\""]["data"];
    for (key, path) in [("1-cart.sql", "sql/cart.sql"), ("2-more.sql", "sql/more.sql")] {
        let script = std::fs::read_to_string(app.path().join(path)).unwrap();
        assert_eq!(files[key], script, "{files:#}");
    }
    assert!(base.contains_key("\"HorizontalPodAutoscaler\" \"shop\""));
}

/// Podman reads a part of Kubernetes, and newer versions a larger one.
#[tokio::test]
async fn pods_for_podman_are_right_for_every_version_of_kubernetes() {
    let app = rich();
    run(&app, &["deploy", "podman"]).await;
    let read = |name: &str| {
        std::fs::read_to_string(app.path().join(format!("podman/{name}.yaml"))).unwrap()
    };
    let texts = ["shop-1", "shop-2", "shop-postgres-cart", "shop-small"].map(read);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let all = validated(&texts).await;
    let mut volumes = std::collections::BTreeSet::new();
    for objects in &all {
        let pod = &objects[0]["spec"];
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        let own = pod["volumes"].as_array().unwrap();
        for mount in mounts {
            assert!(own.iter().any(|volume| volume["name"] == mount["name"]), "{mount}");
            assert!(mount["subPath"].is_null(), "{mount}");
        }
        // Podman makes one volume of all that have the same name.
        for volume in own.iter().filter(|volume| volume["configMap"].is_null()) {
            assert!(volumes.insert(volume["name"].to_string()) || volume["name"] == "data");
        }
        assert!(!pod["containers"].to_string().contains("secretKeyRef"));
    }
    let ports = |index: usize| &all[index][0]["spec"]["containers"][0]["ports"];
    assert_eq!(ports(0)[0]["hostPort"], 9000);
    assert_eq!(ports(1)[0]["hostPort"], 9001);
    assert_eq!(ports(1)[0]["hostIP"], "127.0.0.1");
    // Only the hosts ask a database.
    assert!(ports(2).is_null());
}

#[tokio::test]
async fn values_of_a_chart_are_where_they_belong() {
    let app = rich();
    run(&app, &["deploy", "helm", "--output", "chart"]).await;
    let values = [
        "template",
        "release",
        "--set",
        "image=other:1,serviceType=LoadBalancer,storageClass=slow,ingress.host=a.example",
    ];
    let text = helm(&values, &app.path().join("chart")).await;
    let objects = by_name(&validated(&[&text]).await.remove(0));
    let host = &objects["\"Deployment\" \"shop\""]["spec"]["template"]["spec"];
    assert_eq!(host["containers"][0]["image"], "other:1");
    assert_eq!(objects["\"Service\" \"page\""]["spec"]["type"], "LoadBalancer");
    let claim = &objects["\"StatefulSet\" \"small\""]["spec"]["volumeClaimTemplates"][0];
    assert_eq!(claim["spec"]["storageClassName"], "slow");
    let ingress = &objects["\"Ingress\" \"shop\""]["spec"];
    assert_eq!(ingress["rules"][0]["host"], "a.example");
    assert_eq!(ingress["tls"][0]["hosts"][0], "a.example");
    let file = objects["\"ConfigMap\" \"shop-files\""]["data"]["wasm-host.toml"].as_str().unwrap();
    assert!(file.contains(r#"hosts = ["a.example", "shop", "#), "{file}");
    let without = ["template", "release", "--set", "ingress.enabled=false"];
    let text = helm(&without, &app.path().join("chart")).await;
    assert!(!text.contains("kind: Ingress"));
}
