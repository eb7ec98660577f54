//! From the text of an application file to a plan, with all that stands in its way.

use std::collections::BTreeMap;
use std::path::Path;

use toml_edit::DocumentMut;
use wasm_host_config::deploy::local_image;
use wasm_host_config::{ComponentSource, Config, Resources, ServiceKind, deploy};
use wasm_host_limits::deploy as limits;
use wasm_host_settings::Source;
use wasm_host_settings::diagnostic::{Diagnostic, Diagnostics, Problem, Severity};

use super::backends::{Backends, Names};
use super::files::{Files, ReadFile, below};
use super::{Endpoint, Origin, Plan, SecretKey, Tls};
use crate::placeholders::{self, RequestedNames};
use crate::{document, within};

/// An application file, and what it is read with.
pub struct Input<'a> {
    pub text: &'a str,
    /// The name that messages show.
    pub file: &'a str,
    pub folder: &'a Path,
    /// Instead of `image` of `[deploy]`.
    pub image: Option<&'a str>,
    pub place: Platform,
    pub read: &'a ReadFile<'a>,
}

/// Where an application is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    Cluster,
    /// In containers of one machine, or of a tool that says itself where they are.
    Containers,
    /// On a machine as it is, without containers, so that nothing has to be carried over.
    Machine,
}

/// All that is in the way, and what is worth telling.
#[derive(Default)]
pub(super) struct Problems {
    errors: Vec<Problem>,
    warnings: Vec<String>,
}

impl Problems {
    pub(super) fn error(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.errors.push(Problem::new(message, hint));
    }

    pub(super) fn warning(&mut self, message: String) {
        self.warnings.push(message);
    }

    /// A backend that a container does not reach.
    pub(super) fn this_machine(&mut self, owner: &str) {
        self.error(
            format!("the url of {owner} is on this machine, and in a container that is the container itself"),
            match owner {
                "[replicas]" => "name a host that containers reach",
                _ => "name a host that containers reach, or remove the url to have a server beside the host",
            },
        );
    }

    /// Whether what `owner` becomes may be called so.
    pub(super) fn name(&mut self, owner: &str, name: &str) {
        if let Err(problem) = deploy::workload(name) {
            let hint = problem.hint.unwrap_or_default();
            self.error(format!("{owner}: {}", problem.message), hint);
        }
    }
}

/// Reads an application file for containers. Its secrets need not be there.
///
/// # Errors
/// All that is wrong with the file, or that cannot be carried over, at once.
pub fn read(input: &Input<'_>) -> Result<Plan, Diagnostics> {
    let Ok(mut document) = input.text.parse::<DocumentMut>() else {
        return Err(in_plain_words(input));
    };
    let files = placeholders::name_files(&mut document);
    let values = placeholders::values(&mut document);
    let asked = RequestedNames::default();
    let config = Config::parse(&Source {
        text: &document.to_string(),
        file: input.file,
        folder: input.folder,
        environment: &|name| {
            asked.note(name);
            values.get(name).cloned()
        },
    })?;
    let mut problems = Problems::default();
    let services = services(&config, &mut problems);
    let taken = services.iter().map(|service| service.name.clone());
    let mut names = Names::new(taken);
    let backends = Backends::of(&config, &mut names, &mut problems);
    let secrets = values.keys().filter(|name| asked.has(name)).map(|name| SecretKey {
        name: name.clone(),
        origin: match files.get(name) {
            Some(path) => Origin::File(path.clone()),
            None => Origin::Environment,
        },
    });
    let mut secrets: Vec<_> = secrets.collect();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for database in &backends.databases {
        for name in [&database.password, &database.admin_password] {
            if values.contains_key(name) {
                let owner = format!("[postgres.{}]", database.resource);
                let message = format!(
                    "the password of {owner} is to be ${{{name}}}, which the file has already"
                );
                problems.error(message, "give the other one another name");
            }
            if let Some(other) = owners.insert(name, &database.resource) {
                let own = &database.resource;
                let message = format!(
                    "[postgres.{other}] and [postgres.{own}] would both have the password ${{{name}}}"
                );
                problems.error(message, "rename one of them");
            }
        }
        secrets.push(SecretKey { name: database.password.clone(), origin: Origin::Made });
    }
    secrets.sort();
    let mut tls = tls(&config, &mut document);
    let mut deploy = config.deploy.clone();
    let namespace = deploy.namespace.clone().unwrap_or_else(|| config.name.clone());
    if tls.is_some() && input.place == Platform::Cluster {
        if deploy.ingress_host.is_some() {
            // Controllers speak HTTP to what is behind them unless each is told otherwise in words of its own.
            tls = None;
            within::without_tls(&mut document);
        }
        let secret = deploy.ingress_tls.take().unwrap_or_else(|| tls_secret(&config.name));
        problems.warning(format!(
            "TLS {}: kubectl create secret tls {secret} -n {namespace} --cert=CERTIFICATE --key=KEY",
            match &deploy.ingress_host {
                Some(host) => format!("ends at the Ingress of {host}, which takes certificate and key of a Secret"),
                None => "takes certificate and key of a Secret, for which pods wait".to_owned(),
            }
        ));
        deploy.ingress_tls = deploy.ingress_host.is_some().then_some(secret);
    }
    sources(&config, &mut document, &mut problems);
    let mut carried = Files::new(input.folder, input.read);
    scripts_and_authorities(&mut document, &config.resources, &mut carried, &mut problems);
    let hosts = deploy.ingress_host.iter().cloned();
    let hosts: Vec<_> = hosts.chain(services.iter().map(|service| service.name.clone())).collect();
    within::change(&mut document, &backends.found, &hosts, tls.is_some());
    let mounts = carried.with(&mut problems, document.to_string());
    // What is in the way of containers is not in the way of a machine.
    let problems = if input.place == Platform::Machine { Problems::default() } else { problems };
    told(input.file, &problems.errors)?;
    let image = input.image.map(str::to_owned).or_else(|| deploy.image.clone());
    let limits = &config.limits;
    // Beside what the host has for components.
    let kept_bytes: u64 = config.resources.all().map(|(_, _, it)| it.memory_bytes()).sum();
    Ok(Plan {
        image: image.unwrap_or_else(|| local_image(&config.name)),
        decides_together: config.replicas.is_some(),
        owns_namespace: deploy.namespace.is_none() && !is_of_every_cluster(&config.name),
        namespace,
        mounts,
        secrets,
        services,
        databases: backends.databases,
        models: backends.models,
        egress: backends.egress.into_iter().collect(),
        port: match config.http.listen.port {
            0 => crate::image::HTTP_PORT,
            port => port,
        },
        has_privileged_port: has_privileged_port(&config),
        tls,
        drain: config.http.limits.drain,
        memory_bytes: limits.memory_bytes
            + kept_bytes
            + limits.compile_memory_bytes
            + limits::HOST_OWN_BYTES,
        warnings: problems.warnings,
        deploy,
        name: config.name,
    })
}

fn has_privileged_port(config: &Config) -> bool {
    /// The first one that a process without privileges may listen on, as Linux has it by itself.
    const UNPRIVILEGED: u16 = 1024;
    let listen = [Some(&config.http.listen), Some(&config.admin), config.probes.as_ref()];
    listen.into_iter().flatten().any(|listen| (1..UNPRIVILEGED).contains(&listen.port))
}

/// The Secret with certificate and key, in a form that all of Kubernetes knows.
pub(super) fn tls_secret(application: &str) -> String {
    format!("{application}-tls")
}

fn is_of_every_cluster(namespace: &str) -> bool {
    namespace == "default" || namespace.starts_with("kube-")
}

/// What the application file's own reader says of a text that is no TOML.
fn in_plain_words(input: &Input<'_>) -> Diagnostics {
    let Input { text, file, folder, .. } = *input;
    match Config::parse(&Source { text, file, folder, environment: &|_| None }) {
        Err(wrong) => wrong,
        Ok(_) => Diagnostics::of_file(file, Problem::new("the notation is not TOML", "correct it")),
    }
}

fn told(file: &str, errors: &[Problem]) -> Result<(), Diagnostics> {
    let found = errors.iter().map(|problem| Diagnostic {
        file: file.to_owned(),
        line: 0,
        column: 0,
        severity: Severity::Error,
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() { Ok(()) } else { Err(Diagnostics::new(found)) }
}

/// The application, and each of its services that is not internal, under its own name.
fn services(config: &Config, problems: &mut Problems) -> Vec<Endpoint> {
    problems.name("the application", &config.name);
    if let Some(image) = &config.deploy.namespace {
        problems.name("'namespace' of [deploy]", image);
    }
    let mut all = vec![Endpoint { name: config.name.clone(), route: "/".to_owned() }];
    for service in config.services.values() {
        let Some(route) = &service.route else { continue };
        problems.name(&format!("[service.{}]", service.name), &service.name);
        if service.name != config.name {
            all.push(Endpoint { name: service.name.clone(), route: route.clone() });
        }
    }
    all
}

fn tls(config: &Config, document: &mut DocumentMut) -> Option<Tls> {
    config.http.tls.as_ref()?;
    let mut path = |key| {
        let written = document::text_at(document, &["http", "tls"], key).unwrap_or_default();
        below(&written).unwrap_or(written)
    };
    Some(Tls { certificate: path("certificate"), key: path("key") })
}

/// Components and folders of files are in the image beside the application file.
fn sources(config: &Config, document: &mut DocumentMut, problems: &mut Problems) {
    let mut check = |name: &str, key: &str, written: &str| {
        if below(written).is_none() {
            problems.error(
                format!("'{key}' of [service.{name}], {written}, is not below the folder of the application file"),
                "move it there: an image holds that folder",
            );
        }
    };
    let mut written = |name: &str, key: &str| {
        document::text_at(document, &["service", name], key).unwrap_or_default()
    };
    for (name, service) in &config.services {
        match &service.kind {
            ServiceKind::Static { .. } => check(name, "static", &written(name, "static")),
            ServiceKind::Component(component) => {
                if let ComponentSource::File(_) = component.source {
                    check(name, "component", &written(name, "component"));
                }
                let with = component.with.iter().map(|(_, part)| ("with", part));
                let parts = component.middleware.iter().map(|part| ("middleware", part));
                for (key, part) in parts.chain(with) {
                    if let ComponentSource::File(_) = part.source {
                        check(name, key, &part.written);
                    }
                }
            }
        }
    }
}

/// Init scripts of all databases, and every `ca`.
fn scripts_and_authorities(
    document: &mut DocumentMut,
    resources: &Resources,
    files: &mut Files<'_>,
    problems: &mut Problems,
) {
    for (key, name, _) in resources.all() {
        let owner = format!("[{key}.{name}]");
        for (what, path) in named_files(document, &[key, name], &["init", "ca"]) {
            files.carry(problems, &owner, &what, &path);
        }
    }
    for (what, path) in named_files(document, &["replicas"], &["ca"]) {
        files.carry(problems, "[replicas]", &what, &path);
    }
    for name in document::names(document, "service") {
        let owner = format!("[service.{name}.outbound]");
        for (what, path) in named_files(document, &["service", &name, "outbound"], &["ca"]) {
            files.carry(problems, &owner, &what, &path);
        }
    }
}

/// The texts under these keys of a table, each with a word for it.
fn named_files(document: &mut DocumentMut, table: &[&str], keys: &[&str]) -> Vec<(String, String)> {
    let Some(table) = document::find(document, table) else { return Vec::new() };
    let mut all = Vec::new();
    for key in keys {
        let Some(item) = table.get(key) else { continue };
        let list = item.as_array().into_iter().flatten().filter_map(|value| value.as_str());
        let texts: Vec<_> = item.as_str().into_iter().chain(list).collect();
        all.extend(texts.into_iter().map(|text| (format!("'{key}'"), text.to_owned())));
    }
    all
}
