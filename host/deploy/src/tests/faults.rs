//! Faults of the sample that the reference application is made after, of Aspirate and of Aspire's own publishers, each
//! with a test that it is not here. What they are is said at each.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::{compose, helm, kustomize, manifest, systemd};

/// All text that is made of a plan.
fn everything(plan: &Plan) -> String {
    let files = [
        kustomize::files(plan),
        helm::files(plan),
        manifest::files(plan, ""),
        systemd::files(plan),
    ];
    let texts: Vec<_> = files.concat().into_iter().map(|file| file.text).collect();
    texts.concat() + &compose::text(plan, "")
}

fn pod(plan: &Plan) -> Value {
    at(&object(plan, "Deployment", "shop"), "/spec/template/spec").clone()
}

/// Aspirate: a Service's port and target port are swapped, and the page is dead or alive by two errors that cancel out.
#[test]
fn a_service_leads_to_a_port_that_its_pods_have() {
    let plan = Application::new().plan(RICH);
    let objects = kubernetes::objects(&plan);
    let mut services = 0;
    for service in objects.iter().filter(|object| object.kind == "Service") {
        services += 1;
        let wanted = at(&service.body, "/spec/selector");
        let workload = objects.iter().find(|object| {
            let labels = object.body.pointer("/spec/template/metadata/labels");
            labels.is_some_and(|labels| {
                wanted.as_object().unwrap().iter().all(|(key, value)| &labels[key] == value)
            })
        });
        let workload = workload.unwrap_or_else(|| panic!("{} selects nothing", service.name));
        let target = at(&service.body, "/spec/ports/0/targetPort");
        let ports =
            at(&workload.body, "/spec/template/spec/containers/0/ports").as_array().unwrap();
        assert!(ports.iter().any(|port| &port["name"] == target), "{} to {target}", service.name);
    }
    assert_eq!(services, 6);
    let service = object(&plan, "Service", "page");
    assert_eq!(at(&service, "/spec/ports/0/port"), 9000);
    assert_eq!(
        at(&pod(&plan), "/containers/0/ports/0"),
        &json!({
            "name": "http", "containerPort": 8080, "protocol": "TCP",
        })
    );
}

/// Aspirate: bind mounts are dropped without a word, so that a database has no tables. Aspire's publisher refuses them one
/// by one, without saying whose.
#[test]
fn every_file_that_the_application_names_is_there() {
    let plan = Application::new().plan(RICH);
    let data = object(&plan, "ConfigMap", "shop-files");
    let mounts = at(&pod(&plan), "/containers/0/volumeMounts").clone();
    for (path, begin) in [
        ("wasm-host.toml", "name = \"shop\""),
        ("sql/orders.sql", "create table orders"),
        ("sql/cart.sql", "\u{feff}create table cart"),
        ("sql/more.sql", "insert"),
        ("ca.pem", "-----BEGIN CERTIFICATE"),
    ] {
        let mount = mounts
            .as_array()
            .unwrap()
            .iter()
            .find(|mount| mount["mountPath"] == format!("/app/{path}"));
        let mount = mount.unwrap_or_else(|| panic!("{path} is not mounted: {mounts:#}"));
        let text = at(&data, "/data")[mount["subPath"].as_str().unwrap()].as_str().unwrap();
        assert!(text.starts_with(begin), "{path} is {text}");
    }
}

/// The sample: Ollama without a volume loads all models anew after each restart; nothing waits for a database; images are
/// `latest`. Aspire's publisher keeps data in `emptyDir` and reads no wait.
#[test]
fn servers_keep_their_data_and_are_waited_for() {
    let plan = Application::new().plan(RICH);
    for (name, storage) in [("postgres-cart", "3Gi"), ("small", "20Gi")] {
        let set = object(&plan, "StatefulSet", name);
        let claim = at(&set, "/spec/volumeClaimTemplates/0");
        assert_eq!(at(claim, "/spec/resources/requests/storage"), storage);
        assert_eq!(at(claim, "/spec/storageClassName"), "fast");
        let mounts = at(&set, "/spec/template/spec/containers/0/volumeMounts");
        assert!(mounts.as_array().unwrap().iter().any(|mount| mount["name"] == "data"), "{mounts}");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            at(&set, &format!("/spec/template/spec/containers/0/{probe}"));
        }
    }
    let arguments = at(&pod(&plan), "/containers/0/args").to_string();
    assert!(arguments.contains(r#""--wait","1200s""#), "{arguments}");
    // Compose: the wait for health is not weakened to one for the start.
    let compose = compose::text(&plan, "");
    assert!(
        compose.contains("depends_on:\n      postgres-cart:\n        condition: service_healthy"),
        "{compose}"
    );
    assert!(!everything(&plan).contains(":latest"));
}

/// Aspirate: what is secret is guessed from a name, so that a secret user name is in a ConfigMap; the reference of a Secret
/// is lost where there is no plain variable beside it. Aspire's publisher writes secrets of arguments in clear.
#[test]
fn secrets_are_references_by_name_and_nothing_else() {
    let plan = Application::new().plan(RICH);
    let env = at(&pod(&plan), "/containers/0/env").clone();
    let names: Vec<_> =
        env.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let expected = [
        "API_TOKEN",
        "FILE_SECRETS_STOCK_PASSWORD",
        "ORDERS_DB",
        "OTLP_KEY",
        "POSTGRES_CART_PASSWORD",
    ];
    assert_eq!(names, expected);
    for entry in env.as_array().unwrap() {
        assert_eq!(at(entry, "/valueFrom/secretKeyRef/name"), "shop-secrets");
        assert_eq!(at(entry, "/valueFrom/secretKeyRef/key"), &entry["name"]);
        assert!(
            entry["value"].is_null() && entry["valueFrom"]["secretKeyRef"]["optional"].is_null()
        );
    }
    // Inputs of the manifest have no values.
    let manifest: Value = serde_json::from_str(&manifest::files(&plan, "")[0].text).unwrap();
    let token = at(&manifest, "/resources/api-token");
    assert_eq!(
        token,
        &json!({
            "type": "parameter.v0",
            "value": "{api-token.inputs.value}",
            "inputs": { "value": { "type": "string", "secret": true } },
        })
    );
    let all = everything(&plan);
    assert!(!all.contains(crate::placeholders::UNKNOWN), "{all}");
    let arguments = at(&pod(&plan), "/containers/0/args").to_string();
    assert!(!arguments.contains('$'), "{arguments}");
}

/// An object without data would take away what an overlay with data has set before, and one with empty values what the
/// user has filled.
#[test]
fn nothing_that_is_applied_empties_a_secret() {
    let plan = Application::new().plan(RICH);
    assert!(kubernetes::objects(&plan).iter().all(|object| object.kind != "Secret"));
    let made = kustomize::missing_secrets(&plan, "", |_| Some("made".to_owned()));
    // A name alone is an empty value for kubectl where the environment has none.
    let set: Vec<_> = made.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(set, ["POSTGRES_CART_ADMIN_PASSWORD=made", "POSTGRES_CART_PASSWORD=made"]);
    for name in ["API_TOKEN", "FILE_SECRETS_STOCK_PASSWORD", "ORDERS_DB", "OTLP_KEY"] {
        assert!(
            made.contains(&format!("\n#{name}=\n")) || made.starts_with(&format!("#{name}=\n"))
        );
    }
    // What is there, filled or not, is not asked for again.
    assert_eq!(kustomize::missing_secrets(&plan, &made, |_| Some("again".to_owned())), "");
    // What a cluster has is not made a second time.
    let kept = kustomize::missing_secrets(&plan, "", |_| None);
    assert!(kept.lines().all(|line| line.starts_with('#')), "{kept}");
    let example = helm::files(&plan).into_iter().find(|file| file.path == "secrets.env.example");
    assert!(example.unwrap().text.lines().all(|line| line.starts_with('#')));
}

/// A namespace that others use is neither labelled nor taken away with the application.
#[test]
fn a_namespace_is_made_only_for_an_application_alone() {
    let application = Application::new();
    let of = |name: &str, deploy: &str| {
        let text = format!("name = \"{name}\"\n{deploy}[service.a]\ncomponent = 'a.wasm'\n");
        kubernetes::namespace(&application.plan(&text)).map(|object| object.body)
    };
    assert!(of("x", "[deploy]\nnamespace = \"shops\"\n").is_none());
    assert!(of("default", "").is_none() && of("kube-public", "").is_none());
    let own = of("x", "").unwrap();
    assert_eq!(at(&own, "/metadata/name"), "x");
    // Refused pods would be those of others, too.
    assert!(!own.to_string().contains("enforce"), "{own}");
}

/// The committed password of the sample.
#[test]
fn a_password_in_the_file_is_refused() {
    let text = RICH.replace("${file:secrets/stock-password}", "hunter2");
    let told = Application::new().read(&text).unwrap_err();
    assert!(told.contains("a password stands in the file") && !told.contains("hunter2"), "{told}");
}

/// Aspirate: one replica, whatever is asked for, recreated at each change, without probes, bounds or an Ingress.
#[test]
fn a_deployment_has_all_that_a_cluster_asks_for() {
    let plan = Application::new().plan(RICH);
    let deployment = object(&plan, "Deployment", "shop");
    assert_eq!(at(&deployment, "/spec/strategy/rollingUpdate/maxUnavailable"), 0);
    // Their number is the scaler's.
    assert!(deployment.pointer("/spec/replicas").is_none());
    let scaler = object(&plan, "HorizontalPodAutoscaler", "shop");
    assert_eq!(at(&scaler, "/spec/minReplicas"), 2);
    assert_eq!(at(&scaler, "/spec/maxReplicas"), 8);
    assert_eq!(at(&scaler, "/spec/metrics/0/pods/metric/name"), "wasm_host_requests_queued");
    let fixed = Application::new().plan(&RICH.replace("replicas-max = 8\n", ""));
    assert_eq!(at(&object(&fixed, "Deployment", "shop"), "/spec/replicas"), 2);

    let pod = pod(&plan);
    let container = at(&pod, "/containers/0");
    for (probe, path) in
        [("startupProbe", "/live"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")]
    {
        // In capitals: others are refused by the server (#18271 of Aspire).
        let get = json!({ "path": path, "port": "probes", "scheme": "HTTP" });
        assert_eq!(at(container, &format!("/{probe}/httpGet")), &get);
    }
    // 5 s for endpoints, 20 s of `drain`, 10 s for the end.
    assert_eq!(at(&pod, "/terminationGracePeriodSeconds"), 35);
    assert_eq!(
        at(container, "/lifecycle/preStop/exec/command"),
        &json!(["/wasm-host", "pause", "5s"])
    );
    // 4 GiB of guests, 2 GiB of the compiler, and the host.
    assert_eq!(at(container, "/resources/limits/memory"), "6656Mi");
    let ingress = object(&plan, "Ingress", "shop");
    assert_eq!(at(&ingress, "/spec/rules/0/host"), "shop.example");
    assert_eq!(at(&ingress, "/spec/tls/0/secretName"), "shop-certificate");
}

#[test]
fn times_and_bounds_are_those_of_the_file() {
    let text = RICH.replace("[http]\n", "[http]\ndrain = \"90s\"\n").replace(
        "[deploy]\n",
        "[limits]\nmemory = \"1GiB\"\ncompile-memory = \"1GiB\"\n[deploy]\nstop-delay = \"0s\"\nmemory = \"8GiB\"\n",
    );
    let pod = pod(&Application::new().plan(&text));
    assert_eq!(at(&pod, "/terminationGracePeriodSeconds"), 100);
    assert!(pod.pointer("/containers/0/lifecycle").is_none());
    assert_eq!(at(&pod, "/containers/0/resources/limits/memory"), "2560Mi");
    // Not more than the limit, which the server would refuse.
    assert_eq!(at(&pod, "/containers/0/resources/requests/memory"), "2560Mi");
}

/// No privileges, for every pod.
#[test]
fn no_pod_has_more_than_it_needs() {
    let plan = Application::new().plan(RICH);
    let mut pods = 0;
    for object in kubernetes::objects(&plan) {
        let Some(pod) = object.body.pointer("/spec/template/spec") else { continue };
        pods += 1;
        assert_eq!(at(pod, "/automountServiceAccountToken"), false);
        assert_eq!(at(pod, "/enableServiceLinks"), false);
        assert_eq!(at(pod, "/securityContext/runAsNonRoot"), true);
        assert!(at(pod, "/securityContext/runAsUser").as_u64().unwrap() > 0);
        assert_eq!(at(pod, "/securityContext/seccompProfile/type"), "RuntimeDefault");
        for container in at(pod, "/containers").as_array().unwrap() {
            assert_eq!(at(container, "/securityContext/readOnlyRootFilesystem"), true);
            assert_eq!(at(container, "/securityContext/allowPrivilegeEscalation"), false);
            assert_eq!(at(container, "/securityContext/capabilities/drop"), &json!(["ALL"]));
            at(container, "/resources/limits/memory");
        }
    }
    assert_eq!(pods, 3);
}

/// Aspirate: a dashboard that lets everybody in, on a port of each node.
#[test]
fn the_control_plane_is_reached_from_within_its_pod_alone() {
    let plan = Application::new().plan(RICH);
    let policy = object(&plan, "NetworkPolicy", "shop");
    let ingress = at(&policy, "/spec/ingress").as_array().unwrap();
    assert_eq!(ingress[0], json!({ "ports": [{ "protocol": "TCP", "port": 8080 }] }));
    // Figures, for one namespace.
    assert_eq!(at(&ingress[1], "/ports/0/port"), 8082);
    assert!(ingress[1].to_string().contains("monitoring"));
    assert_eq!(ingress.len(), 2);
    assert!(!policy.to_string().contains("8081"));
    for object in kubernetes::objects(&plan).iter().filter(|object| object.kind == "Service") {
        let text = object.body.to_string();
        assert!(!text.contains("8081") && !text.contains("probes"), "{text}");
    }
}

#[test]
fn what_may_be_reached_is_what_the_file_grants() {
    let plan = Application::new().plan(RICH);
    let policy = object(&plan, "NetworkPolicy", "shop");
    let egress: BTreeSet<_> = at(&policy, "/spec/egress")
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            let ports = at(rule, "/ports").as_array().unwrap();
            let to = rule.pointer("/to/0").map_or("anywhere".to_owned(), |to| {
                let labels = to.pointer("/podSelector/matchLabels");
                let name = labels.and_then(|labels| labels["app.kubernetes.io/name"].as_str());
                let cidr = to.pointer("/ipBlock/cidr").and_then(Value::as_str);
                name.or(cidr).unwrap_or("names").to_owned()
            });
            format!("{to} {}", at(ports.last().unwrap(), "/port"))
        })
        .collect();
    let expected = [
        "0.0.0.0/0 443",    // api.example.com, but no private address
        "10.1.2.3/32 6432", // [postgres.stock]
        "10.9.0.0/16 9000", // outbound
        "anywhere 443",     // [ollama.gpu], by name
        "anywhere 5432",    // [postgres.orders], whose address is a secret
        "fd00::/16 81",
        "anywhere 53",
        "names 5353",
        "postgres-cart 5432",
        "small 11434",
    ];
    assert_eq!(egress, expected.map(str::to_owned).into());
    let public = policy.to_string();
    assert!(public.contains("169.254.0.0/16"), "{public}");
    // A database is asked by the host, and asks nothing.
    let database = object(&plan, "NetworkPolicy", "postgres-cart");
    assert_eq!(at(&database, "/spec/egress"), &json!([]));
    assert_eq!(at(&database, "/spec/ingress/0/ports/0/port"), 5432);
    assert!(at(&database, "/spec/ingress/0/from/0").to_string().contains("\"shop\""));
}

/// Aspire: whether an endpoint is external depends on the order of lines, and a tool guesses a port that is not written.
/// Aspirate: a URL is made of the protocol, and one with https is empty.
#[test]
fn bindings_say_all_that_a_tool_needs() {
    let plan = Application::new().plan(RICH);
    let manifest: Value = serde_json::from_str(&manifest::files(&plan, "")[0].text).unwrap();
    let binding = at(&manifest, "/resources/shop/bindings/http");
    assert_eq!(
        binding,
        &json!({
            "scheme": "http", "protocol": "tcp", "transport": "http", "external": true,
            "port": 9000, "targetPort": 8080,
        })
    );
    let reversed: Vec<_> = RICH.split("\n[").collect();
    let (first, rest) = reversed.split_first().unwrap();
    // The table below a service stays with it.
    let mut tables: Vec<String> = Vec::new();
    for table in rest {
        match table.starts_with("service.cart.environment") {
            true => tables.last_mut().unwrap().push_str(&format!("\n[{table}")),
            false => tables.push((*table).to_owned()),
        }
    }
    tables.reverse();
    let other = format!("{first}\n[{}", tables.join("\n["));
    let other = Application::new().plan(&other);
    let other: Value = serde_json::from_str(&manifest::files(&other, "")[0].text).unwrap();
    assert_eq!(manifest["resources"], other["resources"]);
}

/// What stands in braces leads to something in the same manifest. These are the rules of `aspire-8.0.json` for what is
/// used of it, by hand.
#[test]
fn the_manifest_has_the_shape_of_its_schema() {
    let plan = Application::new().plan(RICH);
    let manifest: Value = serde_json::from_str(&manifest::files(&plan, "")[0].text).unwrap();
    assert_eq!(manifest["$schema"], "https://json.schemastore.org/aspire-8.0.json");
    let resources = manifest["resources"].as_object().unwrap();
    for (name, resource) in resources {
        let (required, optional): (&[&str], &[&str]) = match resource["type"].as_str().unwrap() {
            "container.v0" => (
                &["type", "image"],
                &[
                    "entrypoint",
                    "args",
                    "connectionString",
                    "env",
                    "bindings",
                    "bindMounts",
                    "volumes",
                ],
            ),
            "value.v0" => (&["type", "connectionString"], &[]),
            "parameter.v0" => (&["type", "value", "inputs"], &[]),
            other => panic!("{name} is a {other}"),
        };
        let keys: Vec<_> = resource.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(required.iter().all(|key| keys.contains(key)), "{name}: {keys:?}");
        assert!(
            keys.iter().all(|key| required.contains(key) || optional.contains(key)),
            "{name}: {keys:?}"
        );
        for binding in resource["bindings"].as_object().into_iter().flat_map(|all| all.values()) {
            for key in ["scheme", "protocol", "transport"] {
                assert!(binding[key].is_string(), "{name}: {binding}");
            }
        }
        for value in resource["env"].as_object().into_iter().flat_map(|all| all.values()) {
            assert!(value.is_string());
        }
        let text = resource.to_string();
        for expression in
            text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(one, _)| one)
        {
            if expression.contains(['"', ' ', ':']) {
                continue;
            }
            let steps: Vec<_> = expression.split('.').collect();
            let target = &resources[steps[0]];
            match steps[1..] {
                ["value"] => assert!(target["value"].is_string(), "{expression}"),
                ["inputs", input] => assert!(target["inputs"][input].is_object(), "{expression}"),
                ["bindings", binding, property] => {
                    assert!(target["bindings"][binding].is_object(), "{expression}");
                    assert!(
                        ["url", "host", "port", "targetPort"].contains(&property),
                        "{expression}"
                    );
                }
                _ => panic!("{expression} of {name}"),
            }
        }
    }
}

/// Aspire's publisher mounts what is not there, and its Postgres makes the application its administrator.
#[test]
fn all_that_the_manifest_mounts_is_written_with_it() {
    let plan = Application::new().plan(RICH);
    let files = manifest::files(&plan, "");
    let manifest: Value = serde_json::from_str(&files[0].text).unwrap();
    let mut mounted = BTreeSet::new();
    for resource in manifest["resources"].as_object().unwrap().values() {
        for mount in resource["bindMounts"].as_array().into_iter().flatten() {
            mounted.insert(mount["source"].as_str().unwrap().to_owned());
        }
    }
    let written: BTreeSet<_> = files[1..].iter().map(|file| file.path.clone()).collect();
    assert_eq!(mounted, written);
    assert_eq!(written.len(), 6);
    let env = at(&manifest, "/resources/postgres-cart/env");
    assert!(env["POSTGRES_USER"].is_null(), "{env}");
    assert_eq!(env["POSTGRES_PASSWORD"], "{postgres-cart-admin-password.value}");
    assert_eq!(env["ROLE_PASSWORD"], "{postgres-cart-password.value}");
}

/// A chart whose Ingress has another name leads to a host that answers to it, with a certificate for it.
#[test]
fn the_name_of_the_ingress_is_everywhere_the_value_of_the_chart() {
    let plan = Application::new().plan(RICH);
    let files = helm::files(&plan);
    let text = |path: &str| &files.iter().find(|file| file.path == path).unwrap().text;
    assert_eq!(
        text("templates/ingress-shop.yaml").matches("{{ .Values.ingress.host | toJson }}").count(),
        2
    );
    let hosts = r#"hosts = ["{{ .Values.ingress.host }}", "shop", "cart""#;
    assert!(text("templates/configmap-shop-files.yaml").contains(hosts));
    let pods = "wasm-host/ingress-host: {{ .Values.ingress.host | toJson }}";
    assert!(text("templates/deployment-shop.yaml").contains(pods));
    assert!(text("values.yaml").contains("host: shop.example"), "{}", text("values.yaml"));
    // Where all names are answered, nothing has to be told.
    let open = Application::new().plan(&RICH.replace("hosts = [\"shop.example\"]\n", ""));
    let pods = object(&open, "Deployment", "shop").to_string();
    assert!(!pods.contains("ingress-host"), "{pods}");
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    let (one, other) = (Application::new(), Application::new());
    let (one, other) = (one.plan(RICH), other.plan(RICH));
    assert_eq!(everything(&one), everything(&other));
    // A change of any file starts new pods.
    let changed = Application::new();
    fs::write(changed.path().join("sql/more.sql"), "select 1;\n").unwrap();
    assert_ne!(one.digest(), changed.plan(RICH).digest());
}

/// Aspirate names nothing by its application, so that two of them in a namespace are one.
#[test]
fn every_object_says_whose_it_is() {
    let plan = Application::new().plan(RICH);
    let mut names = BTreeSet::new();
    for object in kubernetes::objects(&plan) {
        let labels = at(&object.body, "/metadata/labels");
        assert_eq!(labels[kubernetes::PART_OF], "shop");
        assert_eq!(labels[kubernetes::MANAGED_BY], kubernetes::MANAGER);
        assert!(names.insert((object.kind, object.name.clone())), "{} twice", object.file());
    }
}
