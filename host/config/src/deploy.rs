//! `[deploy]`: what cannot be derived from the rest of the file when it is made into files for a cluster.
//!
//! It must not know what these look like.

use wasm_host_limits::deploy::{DeployLimits, WORKLOAD_NAME_CHARACTERS};
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::context::Context;
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::file::Table;

/// Before its settings.
const KEYS: [&str; 9] = [
    "image",
    "namespace",
    "ingress-host",
    "ingress-class",
    "ingress-tls",
    "storage-class",
    "metrics-namespace",
    "postgres-image",
    "ollama-image",
];

/// The servers that stand for resources without a url.
const POSTGRES_IMAGE: &str = "docker.io/library/postgres:17.6";
const OLLAMA_IMAGE: &str = "docker.io/ollama/ollama:0.12.6";

/// `[deploy]`
#[derive(Clone, Debug)]
pub struct DeployConfig {
    /// The image with the application. `None`: see [`local_image`].
    pub image: Option<String>,
    /// `None`: the application's name.
    pub namespace: Option<String>,
    /// The name under which the application is reached from outside the cluster. `None`: by no Ingress.
    pub ingress_host: Option<String>,
    pub ingress_class: Option<String>,
    /// The Secret with the certificate of `ingress_host`.
    pub ingress_tls: Option<String>,
    /// Of the volumes. `None`: the cluster's own.
    pub storage_class: Option<String>,
    /// Where a Prometheus runs that may read `/metrics`.
    pub metrics_namespace: Option<String>,
    pub postgres_image: String,
    pub ollama_image: String,
    pub limits: DeployLimits,
}

impl Default for DeployConfig {
    fn default() -> Self {
        Self {
            image: None,
            namespace: None,
            ingress_host: None,
            ingress_class: None,
            ingress_tls: None,
            storage_class: None,
            metrics_namespace: None,
            postgres_image: POSTGRES_IMAGE.to_owned(),
            ollama_image: OLLAMA_IMAGE.to_owned(),
            limits: DeployLimits::default(),
        }
    }
}

/// `[deploy]`
pub(super) fn deploy(cx: &Context<'_>, root: &Table<'_>) -> DeployConfig {
    let keys = [&KEYS[..], &DeployLimits::keys()].concat();
    let table = root.section(cx, "deploy", &keys);
    let read = |key, check: fn(&str) -> Result<(), Problem>| {
        let written = table.text(cx, key)?;
        cx.checked(&written.at, check(&written.value))?;
        Some(written.value)
    };
    let ingress_host = read("ingress-host", host);
    for key in ["ingress-class", "ingress-tls"] {
        if table.has(key) && !table.has("ingress-host") {
            let message = format!("'{key}' means nothing without 'ingress-host'");
            let hint = "add ingress-host = \"app.example.com\", or remove it";
            cx.error(&table.at(key), Problem::new(message, hint));
        }
    }
    let limits: DeployLimits = table.settings(cx);
    if let Some(most) = limits.replicas_max.filter(|most| *most < limits.replicas) {
        let key = DeployLimits::replicas_max().key;
        let message = format!("'{key}' is {most}, and 'replicas' is {}", limits.replicas);
        cx.error(&table.at(key), Problem::new(message, "let it be at least as much"));
    }
    DeployConfig {
        image: read("image", image),
        namespace: read("namespace", label),
        ingress_host,
        ingress_class: read("ingress-class", object),
        ingress_tls: read("ingress-tls", object),
        storage_class: read("storage-class", object),
        metrics_namespace: read("metrics-namespace", label),
        postgres_image: read("postgres-image", image).unwrap_or_else(|| POSTGRES_IMAGE.to_owned()),
        ollama_image: read("ollama-image", image).unwrap_or_else(|| OLLAMA_IMAGE.to_owned()),
        limits,
    }
}

// === Grammars ===

/// The image of an application whose file names none: on this machine, as `image build` makes it.
pub fn local_image(application: &str) -> String {
    format!("localhost/{application}:local")
}

/// A reference of an image, as far as it can be told without asking a registry.
pub fn image(text: &str) -> Result<(), Problem> {
    let (name, digest) = text.split_once('@').unwrap_or((text, "sha256:0"));
    let allowed = |c: char| "/:._-".contains(c) || c.is_ascii_alphanumeric();
    let is_path =
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed);
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if is_path && !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(Problem::new(
        format!("{} is not the reference of an image", quoted(text)),
        "write it as in \"registry.example/shop/app:7\"",
    ))
}

/// A name of one label, as namespaces and Services have.
pub fn label(text: &str) -> Result<(), Problem> {
    let is_good = |text: &str| {
        (1..=63).contains(&text.len())
            && text.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit())
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    if is_good(text) {
        return Ok(());
    }
    Err(Problem::new(
        format!("{} cannot be a name in a cluster", quoted(text)),
        "write a-z, 0-9 and '-', and neither first nor last a '-'",
    ))
}

/// The name of a Deployment or a StatefulSet, and of a Service before it: the latter begins with a letter.
pub fn workload(text: &str) -> Result<(), Problem> {
    label(text)?;
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        let message = format!("{} cannot be the name of a Service", quoted(text));
        return Err(Problem::new(message, "begin it with a letter"));
    }
    if text.len() > WORKLOAD_NAME_CHARACTERS {
        let message = format!("{} is too long for what runs in a cluster", quoted(text));
        let hint = format!("use at most {WORKLOAD_NAME_CHARACTERS} characters");
        return Err(Problem::new(message, hint));
    }
    Ok(())
}

/// The name of another object: labels with dots between them.
fn object(text: &str) -> Result<(), Problem> {
    text.split('.').try_for_each(label)
}

/// The name of a host.
fn host(text: &str) -> Result<(), Problem> {
    if text.contains('.') && text.len() <= 253 && object(text).is_ok() {
        return Ok(());
    }
    let message = format!("{} is not the name of a host", quoted(text));
    Err(Problem::new(message, "write it as in \"app.example.com\""))
}
