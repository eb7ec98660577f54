//! `deploy apply`, against answers of a cluster that are written down: no API server is at hand in tests. What is applied is
//! what the tools and schemas of `kubernetes` accept.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::rich;
use wasm_host_tests::host::{App, root};

/// What the cluster says.
struct Recording(TempDir);

impl Recording {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = root().join("tests/kubernetes/recorded-kubectl.sh");
        symlink(script, folder.path().join("kubectl")).unwrap();
        let recording = Self(folder);
        recording.says(
            "apply",
            "service/shop serverside-applied\ndeployment.apps/shop serverside-applied\n",
        );
        recording.answers("made", json!({ "items": [] }));
        recording.answers("sets", json!({ "items": [] }));
        recording.says("secret", "API_TOKEN FILE_SECRETS_STOCK_PASSWORD ORDERS_DB OTLP_KEY ");
        recording.answers("workloads", json!({ "items": [workload("shop", 2, 2)] }));
        recording.answers("pods", json!({ "items": [] }));
        recording.answers("services", json!({ "items": [
            service("shop", "/", "NodePort", 31000),
            service("cart", "/cart", "NodePort", 31001),
            {
                "metadata": { "name": "small" },
                "spec": { "type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": [{ "port": 11434 }] },
            },
        ] }));
        recording
    }

    fn says(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    /// Complains with this, and ends so.
    fn fails(&self, name: &str, complaint: &str) {
        self.says(&format!("{name}.complaint"), complaint);
    }

    fn answers(&self, name: &str, answer: Value) {
        self.says(name, &answer.to_string());
    }

    fn is_silent_about(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).unwrap();
    }

    /// What was asked, line by line.
    fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.path().join("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn app(&self) -> App {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = PathBuf::from(self.0.path());
        let all = std::iter::once(own).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(all).unwrap();
        rich().env("PATH", path.to_str().unwrap()).env("RECORDING", self.0.path().to_str().unwrap())
    }
}

fn workload(name: &str, wanted: u64, ready: u64) -> Value {
    json!({
        "kind": "Deployment",
        "metadata": { "name": name, "generation": 1 },
        "spec": { "replicas": wanted },
        "status": {
            "observedGeneration": 1, "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": ready,
        },
    })
}

fn service(name: &str, route: &str, kind: &str, node_port: u16) -> Value {
    json!({
        "metadata": { "name": name, "annotations": { "wasm-host/route": route } },
        "spec": {
            "type": kind, "clusterIP": "10.96.0.1",
            "ports": [{ "port": 9000, "nodePort": node_port, "appProtocol": "http" }],
        },
    })
}

fn made(kind: &str, name: &str, manager: &str) -> Value {
    let fields = json!([{ "manager": manager, "operation": "Apply" }]);
    json!({ "kind": kind, "metadata": { "name": name, "managedFields": fields } })
}

/// Exit code, standard output, standard error.
async fn apply(recording: &Recording, arguments: &[&str]) -> (Option<i32>, String, String) {
    let app = recording.app();
    if arguments.contains(&"--impatient") {
        let path = app.path().join("wasm-host.toml");
        let file = fs::read_to_string(&path).unwrap();
        fs::write(&path, file.replace("[deploy]\n", "[deploy]\nrollout-timeout = \"1s\"\n"))
            .unwrap();
    }
    let arguments: Vec<_> = ["deploy", "apply", "--context", "docker-desktop"]
        .into_iter()
        .chain(arguments.iter().copied().filter(|argument| *argument != "--impatient"))
        .collect();
    let ended = app.run(&arguments).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

#[tokio::test]
async fn it_applies_waits_and_shows_where_everything_is() {
    let recording = Recording::new();
    recording.answers("workloads.1", json!({ "items": [workload("shop", 2, 0)] }));
    recording.answers("workloads.2", json!({ "items": [workload("shop", 2, 1)] }));
    let (code, out, err) = apply(&recording, &[]).await;
    assert_eq!(code, Some(0), "{err}");
    let expected = "\
Service Name  Service Type  Cluster IP  Port   Node Port  Address
cart          NodePort      10.96.0.1   9000   31001      http://localhost:31001/cart
shop          NodePort      10.96.0.1   9000   31000      http://localhost:31000/
small         ClusterIP     10.96.0.9   11434  -          tcp://small:11434 (inside)
";
    assert_eq!(out, expected);
    let asked = recording.asked();
    assert!(asked.iter().all(|line| line.starts_with("--context docker-desktop ")), "{asked:#?}");
    assert_eq!(
        asked.iter().find(|line| line.contains(" apply ")).unwrap(),
        "--context docker-desktop apply --server-side --field-manager=wasm-host -k k8s/overlays/local"
    );
    assert_eq!(asked.iter().filter(|line| line.contains("get deployments.apps,")).count(), 3);
    assert!(asked.iter().all(|line| !line.contains("delete")), "{asked:#?}");
    // Everything that is looked at is this application's.
    let ours = "-n shops -l app.kubernetes.io/managed-by=wasm-host,app.kubernetes.io/part-of=shop ";
    let elsewhere = ["get nodes", "get secret shop-secrets -n shops"];
    let is_ours = |line: &&String| !elsewhere.iter().any(|other| line.contains(other));
    let all = asked.iter().filter(|line| line.contains(" get ")).filter(is_ours);
    assert!(all.clone().count() > 4 && all.clone().all(|line| line.contains(ours)), "{asked:#?}");
}

#[tokio::test]
async fn programs_get_the_addresses_as_a_list() {
    let recording = Recording::new();
    let (code, out, err) = apply(&recording, &["--format", "json"]).await;
    assert_eq!(code, Some(0), "{err}");
    let rows: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rows[0]["address"], "http://localhost:31001/cart");
}

// Fault (Deployment): an object of another maker has the labels of an application | leaves it alone | nothing | nothing
#[tokio::test]
async fn only_what_it_made_itself_is_removed_and_never_data() {
    let recording = Recording::new();
    recording.says("delete", "deleted\n");
    recording.answers(
        "made",
        json!({ "items": [
        made("Service", "shop", "wasm-host"),
        made("Service", "gone", "wasm-host"),
        made("StatefulSet", "gone", "wasm-host"),
        made("Service", "theirs", "helm"),
    ] }),
    );
    let (code, _, err) = apply(&recording, &[]).await;
    assert_eq!(code, Some(0), "{err}");
    let asked = recording.asked();
    let deleted: Vec<_> = asked.iter().filter(|line| line.contains("delete")).collect();
    assert_eq!(
        deleted,
        [
            "--context docker-desktop delete Service gone -n shops --wait=false",
            "--context docker-desktop delete StatefulSet gone -n shops --wait=false",
        ]
    );
    // What is gone from the file goes when all that is in it runs.
    let at = |word: &str| asked.iter().position(|line| line.contains(word)).unwrap();
    assert!(at("get deployments.apps,") < at("delete"), "{asked:#?}");
    assert!(
        err.contains("removed statefulset gone, which the application file has no more"),
        "{err}"
    );
    let looked = asked.iter().find(|line| line.contains("get configmaps,")).unwrap();
    for kept in ["persistentvolume", "namespaces", "secrets"] {
        assert!(!looked.contains(kept), "{looked}");
    }
}

// Fault (Deployment): an overlay gives objects other names | goes by what was applied, and removes none of it | nothing | nothing
#[tokio::test]
async fn what_an_overlay_renames_is_not_taken_for_what_is_gone() {
    let recording = Recording::new();
    let said = "service/staging-shop serverside-applied\ndeployment.apps/staging-shop serverside-applied\n";
    recording.says("apply", said);
    recording.answers("workloads", json!({ "items": [workload("staging-shop", 2, 2)] }));
    let items = [
        made("Service", "staging-shop", "wasm-host"),
        made("Deployment", "staging-shop", "wasm-host"),
    ];
    recording.answers("made", json!({ "items": items }));
    let (code, _, err) = apply(&recording, &[]).await;
    assert_eq!(code, Some(0), "{err}");
    let asked = recording.asked();
    assert!(asked.iter().all(|line| !line.contains("delete")), "{asked:#?}");
}

// Fault (Deployment): an overlay has another namespace | says what it does not find there, and ends with 1 | nothing | nothing
#[tokio::test]
async fn what_is_in_another_namespace_is_not_taken_for_running() {
    let recording = Recording::new();
    recording.answers("workloads", json!({ "items": [] }));
    let (code, _, err) = apply(&recording, &["--impatient"]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("deployment shop is not in the namespace of the application file"),
        "{err}"
    );
}

// Fault (Deployment): pods of an application do not start | `deploy apply` says why, in the words of the cluster, and ends with 1 | answers of the pods of before | nothing
#[tokio::test]
async fn what_does_not_run_is_told_with_its_reason() {
    let recording = Recording::new();
    recording.answers("workloads", json!({ "items": [workload("shop", 2, 1)] }));
    let state = |reason: &str, message: &str| json!([{ "state": { "waiting": { "reason": reason, "message": message } } }]);
    recording.answers("pods", json!({ "items": [
        {
            "metadata": { "name": "shop-1" },
            "status": { "containerStatuses": state(
                "CreateContainerConfigError",
                "couldn't find key API_TOKEN in Secret shops/shop-secrets",
            ) },
        },
        { "metadata": { "name": "shop-2" }, "status": { "containerStatuses": state("ContainerCreating", "") } },
        {
            "metadata": { "name": "small-0" },
            "status": { "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient memory.",
            }] },
        },
    ] }));
    let (code, out, err) = apply(&recording, &["--impatient"]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    for expected in [
        "not everything runs after 1 s: deployment shop has 1 of 2 pods ready",
        "pod shop-1: CreateContainerConfigError: couldn't find key API_TOKEN in Secret shops/shop-secrets",
        "pod small-0: Unschedulable: 0/1 nodes are available: 1 Insufficient memory.",
        "`rollout-timeout` of [deploy]",
    ] {
        assert!(err.contains(expected), "{expected} is not in:\n{err}");
    }
    assert!(!err.contains("shop-2"), "{err}");
}

#[tokio::test]
async fn what_a_cluster_refuses_is_told_and_nothing_else_is_done() {
    let recording = Recording::new();
    recording.is_silent_about("apply");
    let (code, out, err) = apply(&recording, &[]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("kubectl apply failed: Error from server (Forbidden)"), "{err}");
    assert!(recording.asked().last().unwrap().contains(" apply "), "{:#?}", recording.asked());
}

#[tokio::test]
async fn pods_that_will_wait_for_a_certificate_are_told_before() {
    let recording = Recording::new();
    let app = recording.app();
    let own = wasm_host_tests::tls::Authority::new().sign(&["localhost"]);
    fs::write(app.path().join("cert.pem"), &own.certificate).unwrap();
    fs::write(app.path().join("key.pem"), &own.key).unwrap();
    let path = app.path().join("wasm-host.toml");
    let text = fs::read_to_string(&path).unwrap();
    let tls = "[http]\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }\n";
    let open = text.replace("[http]\n", tls);
    let open: Vec<_> = open.lines().filter(|line| !line.starts_with("ingress-")).collect();
    fs::write(&path, open.join("\n")).unwrap();
    for (keys, is_told) in [("API_TOKEN", true), ("tls.crt tls.key", false)] {
        recording.says("secret", keys);
        // Whether the rest is filled is another question.
        let command = ["deploy", "apply", "--context", "docker-desktop", "--overlay", "production"];
        let ended = app.run(&command).await;
        let err = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{err}");
        let told = "pods wait until the Secret shop-tls has certificate and key: kubectl --context docker-desktop create \
                    secret tls shop-tls -n shops --cert=CERTIFICATE --key=KEY";
        assert_eq!(err.contains(told), is_told, "{err}");
    }
}

#[tokio::test]
async fn a_namespace_that_is_named_has_to_be_there() {
    let recording = Recording::new();
    recording.is_silent_about("apply");
    let complaint = "Error from server (NotFound): namespaces \"shops\" not found\n";
    recording.fails("apply", &complaint.repeat(20));
    let (code, _, err) = apply(&recording, &[]).await;
    assert_eq!(code, Some(1), "{err}");
    let expected = "there is no namespace shops, and one that [deploy] names is not made: kubectl --context docker-desktop \
                    create namespace shops";
    assert!(err.contains(expected), "{err}");
}

// Fault (Deployment): a secret that `deploy apply` needs has no value, neither in the file nor in the cluster | refuses before anything is applied, with the command that adds it | nothing | nothing
#[tokio::test]
async fn nothing_is_applied_that_would_wait_for_a_secret() {
    let recording = Recording::new();
    recording.says("secret", "API_TOKEN OTLP_KEY ");
    let (code, out, err) = apply(&recording, &[]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    for expected in [
        "nor the cluster has FILE_SECRETS_STOCK_PASSWORD, ORDERS_DB, and pods would wait for it; nothing was applied",
        r#"printf 'ORDERS_DB=%s\n' "${ORDERS_DB:?}" >> k8s/overlays/local/secrets.env"#,
        r#"printf 'FILE_SECRETS_STOCK_PASSWORD=%s\n' "$(cat secrets/stock-password)" >> "#,
    ] {
        assert!(err.contains(expected), "{expected} is not in:\n{err}");
    }
    assert!(recording.asked().iter().all(|line| !line.contains(" apply ")));
    // Who may not read Secrets may apply all the same, and is told.
    recording.is_silent_about("secret");
    let (code, _, err) = apply(&recording, &[]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("whether the Secret shop-secrets is filled is not known"), "{err}");
    // Where the secrets of another overlay come from is not known.
    recording.says("secret", "");
    let (code, _, err) = apply(&recording, &["--overlay", "production"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("the Secret shop-secrets has no API_TOKEN, FILE_"), "{err}");
    assert!(err.contains("kubectl create secret generic shop-secrets -n shops"), "{err}");
}

// Fault (Deployment): a file of secrets has a name alone, and the environment no value for it | refuses before it is applied empty | nothing | nothing
#[tokio::test]
async fn a_filled_secret_is_not_emptied_by_applying_again() {
    let recording = Recording::new();
    let app = recording.app();
    let path = app.path().join("k8s/overlays/local/secrets.env");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "UNSET_TOKEN\nAPI_TOKEN\nOTLP_KEY\n").unwrap();
    let file = app.path().join("wasm-host.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("${API_TOKEN}", "${UNSET_TOKEN}")).unwrap();
    let ended = app.run(&["deploy", "apply", "--context", "docker-desktop"]).await;
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{err}");
    let expected = "k8s/overlays/local/secrets.env takes UNSET_TOKEN from the environment, where it has no value";
    assert!(err.contains(expected) && err.contains("nothing was applied"), "{err}");
    assert!(recording.asked().iter().all(|line| !line.contains(" apply ")));
}

// Fault (Deployment): an application is deployed again from another machine, whose file of secrets is new | refuses before anything is applied, with the command that takes over what the cluster has; makes no other passwords | nothing | nothing
#[tokio::test]
async fn what_another_machine_has_applied_is_not_taken_away() {
    let recording = Recording::new();
    recording.says(
        "secret",
        "API_TOKEN FILE_SECRETS_STOCK_PASSWORD ORDERS_DB OTLP_KEY POSTGRES_CART_PASSWORD \n. f:OTLP_KEY f:POSTGRES_CART_PASSWORD ",
    );
    let app = recording.app();
    let command = ["deploy", "apply", "--context", "docker-desktop"];
    let ended = app.run(&command).await;
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{err}");
    for expected in [
        "the cluster has OTLP_KEY, POSTGRES_CART_PASSWORD from another secrets.env, which k8s/overlays/local/secrets.env lacks",
        "kubectl --context docker-desktop get secret shop-secrets -n shops -o 'go-template={{range $key, $value := .data}}{{if or \
         (eq $key \"OTLP_KEY\") (eq $key \"POSTGRES_CART_PASSWORD\")}}",
        "' >> k8s/overlays/local/secrets.env",
    ] {
        assert!(err.contains(expected), "{expected} is not in:\n{err}");
    }
    assert!(recording.asked().iter().all(|line| !line.contains(" apply ")));
    let path = app.path().join("k8s/overlays/local/secrets.env");
    let made = fs::read_to_string(&path).unwrap();
    // The one that the cluster lacks is made all the same.
    assert!(
        made.contains("\n#POSTGRES_CART_PASSWORD=\n")
            && made.contains("\nPOSTGRES_CART_ADMIN_PASSWORD="),
        "{made}"
    );
    fs::write(&path, made + "OTLP_KEY=x\nPOSTGRES_CART_PASSWORD=y\n").unwrap();
    let ended = app.run(&command).await;
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}

// Fault (Deployment): the size of a volume changes, which a cluster refuses for what is there | `deploy apply` refuses before anything is applied, with what to do | nothing | nothing
#[tokio::test]
async fn a_volume_of_another_size_is_refused_before_anything_is_applied() {
    let recording = Recording::new();
    recording
        .answers("sets", json!({ "items": [made("StatefulSet", "postgres-cart", "wasm-host")] }));
    recording.fails(
        "dry-run",
        "The StatefulSet \"postgres-cart\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \
         'replicas', 'ordinals', 'template', 'updateStrategy' are forbidden\n",
    );
    let (code, out, err) = apply(&recording, &[]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    for expected in [
        "its size or class is another one for postgres-cart; nothing was applied",
        "kubectl patch pvc data-postgres-cart-0 -n shops -p '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"SIZE\"}}}}'",
        "kubectl delete statefulset postgres-cart -n shops --cascade=orphan",
    ] {
        assert!(err.contains(expected), "{expected} is not in:\n{err}");
    }
    let applies = recording.asked().into_iter().filter(|line| line.contains(" apply "));
    assert!(
        applies.clone().count() == 1
            && applies.clone().all(|line| line.contains("--dry-run=server"))
    );
    // A server that does not take the question is no reason to stop.
    recording.fails(
        "dry-run",
        "Error from server (BadRequest): admission webhook \"x\" does not support dry run\n",
    );
    let (code, _, err) = apply(&recording, &[]).await;
    assert_eq!(code, Some(0), "{err}");
}

#[tokio::test]
async fn without_a_context_no_cluster_is_touched() {
    let recording = Recording::new();
    // kubectl takes an empty one, as of a variable that is not set, for the current one.
    for none in [&["deploy", "apply"][..], &["deploy", "apply", "--context", ""]] {
        let ended = recording.app().run(none).await;
        assert_eq!(ended.status.code(), Some(64));
    }
    assert!(recording.asked().is_empty());
}
