//! The manifest in the shape of .NET Aspire's (`aspire-8.0.json`), for tools that read that.
//!
//! The application is one container with all of its services; each of these is a value with its address. Secrets are
//! parameters whose inputs have no values.

use std::collections::BTreeSet;

use crate::data::put;
use serde_json::{Map, Value, json};

use crate::plan::{Database, ModelServer, Mount, Origin, SecretKey};
use crate::{File, Plan, image};

const SCHEMA: &str = "https://json.schemastore.org/aspire-8.0.json";

/// The file that the manifest mounts in place of the application file, beside the manifest.
pub const APPLICATION_FILE: &str = "wasm-host.container.toml";

/// Characters of a secret that a tool is to make.
const MADE_CHARACTERS: usize = 32;

/// The manifest, and the application file that it mounts.
pub fn files(plan: &Plan) -> Vec<File> {
    let mut text = serde_json::to_string_pretty(&manifest(plan)).unwrap_or_default();
    text.push('\n');
    let application = plan.mounts.first().map(|mount| mount.text.clone()).unwrap_or_default();
    vec![File::new("manifest.json", text), File::new(APPLICATION_FILE, application)]
}

fn manifest(plan: &Plan) -> Value {
    let parameters = Parameters::of(plan);
    let mut resources = Map::new();
    for secret in plan.all_secrets() {
        // The administrator's is for the form that has one.
        if !plan.databases.iter().any(|database| database.admin_password == secret.name) {
            resources.insert(parameters.name(&secret.name), parameter(&parameters, &secret));
        }
    }
    for database in &plan.databases {
        resources.insert(database.name.clone(), server(plan, &parameters, database));
    }
    for models in &plan.models {
        resources.insert(models.name.clone(), model_server(plan, models));
    }
    resources.insert(plan.name.clone(), host(plan, &parameters));
    for service in plan.services.iter().filter(|service| service.name != plan.name) {
        let url = format!("{{{}.bindings.http.url}}{}", plan.name, service.route);
        let value = json!({ "type": "value.v0", "connectionString": url });
        resources.insert(service.name.clone(), value);
    }
    json!({ "$schema": SCHEMA, "resources": resources })
}

fn parameter(parameters: &Parameters, secret: &SecretKey) -> Value {
    let mut input = json!({ "type": "string", "secret": true });
    if secret.origin == Origin::Made {
        let generate = json!({ "minLength": MADE_CHARACTERS, "special": false });
        put(&mut input, "default", json!({ "generate": generate }));
    }
    json!({
        "type": "parameter.v0",
        "value": format!("{{{}.inputs.value}}", parameters.name(&secret.name)),
        "inputs": { "value": input },
    })
}

fn host(plan: &Plan, parameters: &Parameters) -> Value {
    let env: Map<_, _> = plan
        .secrets
        .iter()
        .map(|secret| (secret.name.clone(), parameters.value(&secret.name).into()))
        .collect();
    let mounts = plan.mounts.iter().enumerate().map(|(index, Mount { path, .. })| {
        let source = if index == 0 { APPLICATION_FILE } else { path };
        mount(source, &format!("{}/{path}", image::FOLDER))
    });
    let tls = plan.tls.iter().flat_map(|tls| {
        let of = |source: &str, name: &str| mount(source, &format!("{}/{name}", image::TLS));
        [of(&tls.certificate, "tls.crt"), of(&tls.key, "tls.key")]
    });
    let scheme = if plan.tls.is_some() { "https" } else { "http" };
    json!({
        "type": "container.v0",
        "image": plan.image,
        "entrypoint": image::PROGRAM,
        "args": crate::compose::arguments(),
        "env": env,
        "bindings": { "http": {
            "scheme": scheme,
            "protocol": "tcp",
            "transport": "http",
            "external": true,
            "port": plan.port,
            "targetPort": image::HTTP_PORT,
        } },
        "bindMounts": mounts.chain(tls).collect::<Vec<_>>(),
        "volumes": [volume(plan, &plan.name, "state", image::STATE)],
    })
}

fn server(plan: &Plan, parameters: &Parameters, database: &Database) -> Value {
    let Database { resource, name, password, .. } = database;
    let password = parameters.value(password);
    json!({
        "type": "container.v0",
        "image": plan.deploy.postgres_image,
        "connectionString": format!(
            "Host={{{name}.bindings.tcp.host}};Port={{{name}.bindings.tcp.port}};Username={resource};\
             Password={password};Database={resource}"
        ),
        "env": {
            "POSTGRES_DB": resource,
            "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256 --auth-local=scram-sha-256",
            "POSTGRES_PASSWORD": password,
            "POSTGRES_USER": resource,
        },
        "bindings": { "tcp": {
            "scheme": "tcp", "protocol": "tcp", "transport": "tcp", "targetPort": 5432,
        } },
        "volumes": [volume(plan, name, "data", "/var/lib/postgresql/data")],
    })
}

fn model_server(plan: &Plan, models: &ModelServer) -> Value {
    json!({
        "type": "container.v0",
        "image": plan.deploy.ollama_image,
        "connectionString": format!("{{{}.bindings.http.url}}", models.name),
        "bindings": { "http": {
            "scheme": "http", "protocol": "tcp", "transport": "http", "targetPort": 11434,
        } },
        "volumes": [volume(plan, &models.name, "models", "/root/.ollama")],
    })
}

fn mount(source: &str, target: &str) -> Value {
    json!({ "source": source, "target": target, "readOnly": true })
}

fn volume(plan: &Plan, owner: &str, what: &str, target: &str) -> Value {
    let name = if owner == plan.name {
        format!("{owner}-{what}")
    } else {
        format!("{}-{owner}-{what}", plan.name)
    };
    json!({ "name": name, "target": target, "readOnly": false })
}

/// What the parameters are called: no resource has the name of one.
struct Parameters(BTreeSet<String>);

impl Parameters {
    fn of(plan: &Plan) -> Self {
        let services = plan.services.iter().map(|service| service.name.clone());
        let databases = plan.databases.iter().map(|database| database.name.clone());
        let models = plan.models.iter().map(|models| models.name.clone());
        Self(services.chain(databases).chain(models).collect())
    }

    fn name(&self, secret: &str) -> String {
        let name = secret.to_ascii_lowercase().replace('_', "-");
        let name = name.trim_matches('-').to_owned();
        if self.0.contains(&name) { format!("{name}-secret") } else { name }
    }

    fn value(&self, secret: &str) -> String {
        format!("{{{}.value}}", self.name(secret))
    }
}
