//! The application file in a container, read by the host's own reader.

use std::path::Path;

use wasm_host_capabilities::ollama::Ollama;
use wasm_host_capabilities::postgres::Postgres;
use wasm_host_config::Config;
use wasm_host_settings::Source;

use super::*;
use crate::plan::Origin;

/// What the host reads of the first file, in the same folder, with these secrets.
#[track_caller]
fn config(application: &Application, plan: &Plan, secrets: &[(&str, &str)]) -> Config {
    let secret = |name: &str| {
        let found = secrets.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let text = &plan.mounts[0].text;
    let (file, folder) = ("/app/wasm-host.toml", application.path());
    let config = Config::parse(&Source { text, file, folder, environment: &secret });
    config.unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

const SECRETS: [(&str, &str); 5] = [
    ("API_TOKEN", "t"),
    ("FILE_SECRETS_STOCK_PASSWORD", "p"),
    ("ORDERS_DB", "postgresql://orders:pw@db.example/orders"),
    ("OTLP_KEY", "0123456789abcdef0123456789abcdef"),
    ("POSTGRES_CART_PASSWORD", "!@#%;'/:?x"),
];

#[test]
fn the_host_reads_the_file_that_it_is_given() {
    let application = Application::new();
    let plan = application.plan(RICH);
    let config = config(&application, &plan, &SECRETS);
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:8080");
    // The control plane stays within the pod, and probes come from outside of it.
    assert_eq!(config.admin.to_string(), "127.0.0.1:8081");
    assert_eq!(config.probes.as_ref().unwrap().to_string(), "0.0.0.0:8082");
    assert_eq!(config.state_dir, Path::new("/state/host"));
    let url = |name| {
        config
            .resources
            .find_of::<Postgres>(name)
            .unwrap()
            .url
            .as_ref()
            .unwrap()
            .expose()
            .to_owned()
    };
    assert_eq!(url("cart"), "postgres://cart:%21%40%23%25%3B%27%2F%3A%3Fx@postgres-cart:5432/cart");
    assert!(url("orders").contains("@db.example"), "{}", url("orders"));
    assert!(url("stock").contains("@10.1.2.3:6432/"), "{}", url("stock"));
    let models = |name| config.resources.find_of::<Ollama>(name).unwrap().url.expose().to_owned();
    assert_eq!(models("small"), "http://small:11434");
    assert_eq!(models("gpu"), "https://gpu.example/llm");
    assert_eq!(config.services.len(), 4);
    assert_eq!(config.warnings, []);
    // Scripts are recorded under the names that they have on a laptop.
    let init = &config.resources.find_of::<Postgres>("cart").unwrap().init;
    assert_eq!(init[0], application.path().join("sql/cart.sql"));
}

#[test]
fn comments_and_order_stay_and_what_is_for_deploying_goes() {
    let application = Application::new();
    let text = application.plan(RICH).mounts[0].text.clone();
    for kept in [
        "intake-key = \"${OTLP_KEY}\" # for programs",
        "# Its server is elsewhere.\n[postgres.orders]",
    ] {
        assert!(text.contains(kept), "{text}");
    }
    assert!(text.contains("PLAIN = \"$${NOT_ONE}\""), "{text}");
    for gone in ["[deploy]", "registry.example", "size =", "${file:"] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
}

#[test]
fn the_cluster_may_ask_by_the_names_that_it_has() {
    let application = Application::new();
    let text = application.plan(RICH).mounts[0].text.clone();
    assert!(
        text.contains(r#"hosts = ["shop.example", "shop", "cart", "page", "stock"]"#),
        "{text}"
    );
    // Where no names are listed, all are answered already.
    let plan = application.plan(&RICH.replace("hosts = [\"shop.example\"]\n", ""));
    assert!(!plan.mounts[0].text.contains("hosts"), "{}", plan.mounts[0].text);
}

#[test]
fn every_secret_is_known_by_its_name_and_where_it_comes_from() {
    let plan = Application::new().plan(RICH);
    let secrets: Vec<_> =
        plan.secrets.iter().map(|secret| (secret.name.as_str(), secret.origin.clone())).collect();
    let file = Origin::File("secrets/stock-password".to_owned());
    let expected = [
        ("API_TOKEN", Origin::Environment),
        ("FILE_SECRETS_STOCK_PASSWORD", file),
        ("ORDERS_DB", Origin::Environment),
        ("OTLP_KEY", Origin::Environment),
        ("POSTGRES_CART_PASSWORD", Origin::Made),
    ];
    assert_eq!(secrets, expected);
    // The administrator's is the server's alone.
    assert!(plan.all_secrets().iter().any(|secret| secret.name == "POSTGRES_CART_ADMIN_PASSWORD"));
}

/// Servers run as the user that their image has.
#[test]
fn postgres_runs_as_the_user_of_its_image() {
    for (image, user) in
        [("postgres:17", 999), ("r.example/postgres:17.6-alpine3.22@sha256:ab", 70)]
    {
        let text = RICH.replace("[deploy]\n", &format!("[deploy]\npostgres-image = \"{image}\"\n"));
        let plan = Application::new().plan(&text);
        let set = object(&plan, "StatefulSet", "postgres-cart");
        let security = at(&set, "/spec/template/spec/securityContext");
        for key in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(security[key], user, "{image}");
        }
        let compose = crate::compose::text(&plan, "");
        assert!(compose.contains(&format!("user: \"{user}:{user}\"")), "{compose}");
    }
}

#[test]
fn the_environment_of_who_deploys_is_in_nothing() {
    // `OLLAMA_HOST` says where a model server is on this machine, and files are the same on every one.
    let application = Application::new();
    let plan = application.plan(RICH);
    assert!(plan.secrets.iter().all(|secret| secret.name != "OLLAMA_HOST"));
    assert_eq!(plan.models.len(), 1);
}

#[test]
fn certificates_come_from_a_secret_of_their_own() {
    let application = Application::new();
    let plan = application.plan(&with_tls(&application));
    assert!(
        plan.mounts[0]
            .text
            .contains("tls = { certificate = \"/tls/tls.crt\", key = \"/tls/tls.key\" }"),
        "{}",
        plan.mounts[0].text
    );
    let deployment = object(&plan, "Deployment", "x");
    let volume = at(&deployment, "/spec/template/spec/volumes/2");
    assert_eq!(at(volume, "/secret/secretName"), "x-tls");
    // Nothing of the key is carried along.
    let all = format!("{plan:?}{:?}", kubernetes::objects(&plan));
    assert!(!all.contains("PRIVATE"), "{all}");
}

/// An application file with `tls`, and the files that it names.
fn with_tls(application: &Application) -> String {
    let tls = "[http]\nlisten = \"127.0.0.1:8443\"\nhosts = ['x.example']\n\
               tls = { certificate = \"tls/cert.pem\", key = \"./tls/key.pem\" }\n";
    let key = rcgen();
    fs::create_dir(application.path().join("tls")).unwrap();
    fs::write(application.path().join("tls/cert.pem"), &key.0).unwrap();
    fs::write(application.path().join("tls/key.pem"), &key.1).unwrap();
    format!("name = \"x\"\n{tls}[service.a]\ncomponent = \"a.wasm\"\n")
}

/// Controllers speak HTTP to what is behind an Ingress.
#[test]
fn tls_ends_at_the_ingress_with_the_same_certificate() {
    let application = Application::new();
    let text = with_tls(&application) + "[deploy]\ningress-host = \"x.example\"\n";
    let plan = application.plan(&text);
    assert!(!plan.mounts[0].text.contains("tls"), "{}", plan.mounts[0].text);
    config(&application, &plan, &[]);
    let deployment = object(&plan, "Deployment", "x").to_string();
    assert!(!deployment.contains("tls"), "{deployment}");
    assert_eq!(at(&object(&plan, "Service", "x"), "/spec/ports/0/appProtocol"), "http");
    let ingress = object(&plan, "Ingress", "x");
    let expected = serde_json::json!([{ "hosts": ["x.example"], "secretName": "x-tls" }]);
    assert_eq!(at(&ingress, "/spec/tls"), &expected);
    assert_eq!(
        plan.warnings,
        [
            "TLS ends at the Ingress of x.example, which takes certificate and key of a Secret: kubectl create secret tls \
          x-tls -n x --cert=CERTIFICATE --key=KEY"
        ]
    );
    // Elsewhere there is no Ingress.
    let plan = application.read_for(&text, Platform::Containers).unwrap();
    assert!(plan.mounts[0].text.contains("/tls/tls.crt"), "{}", plan.mounts[0].text);
}

#[test]
fn certificate_and_key_are_mounted_from_where_they_are() {
    let application = Application::new();
    let plan = application.read_for(&with_tls(&application), Platform::Containers).unwrap();
    for (folder, expected) in
        [("", "./tls/key.pem"), ("shop", "./shop/tls/key.pem"), ("../shop", "../shop/tls/key.pem")]
    {
        let compose = crate::compose::text(&plan, folder);
        assert!(compose.contains(&format!("source: \"{expected}\"")), "{compose}");
        let manifest = &crate::manifest::files(&plan, folder)[0].text;
        assert!(manifest.contains(&format!("\"source\": \"{expected}\"")), "{manifest}");
    }
}

/// A certificate and its key.
fn rcgen() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}
