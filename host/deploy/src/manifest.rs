//! The manifest in the shape of .NET Aspire's (`aspire-8.0.json`), for tools that read that.
//!
//! The application is one container with all of its services; each of these is a value with its address. Secrets are
//! parameters whose inputs have no values.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::put;
use serde_json::{Map, Value, json};

use crate::kubernetes::role_script;
use crate::plan::{Database, ModelServer, Mount, Origin, SecretKey};
use crate::{File, Plan, image};

const SCHEMA: &str = "https://json.schemastore.org/aspire-8.0.json";

/// The file that the manifest mounts in place of the application file, beside the manifest.
const APPLICATION_FILE: &str = "wasm-host.container.toml";

/// Beside the manifest, for all other files that it mounts: apart from the user's own.
const FILES: &str = "wasm-host.files";

/// The script that makes the role of a new database.
const ROLE_SCRIPT: &str = "postgres-role.sh";

/// Characters of a secret that a tool is to make.
const MADE_CHARACTERS: usize = 32;

/// The manifest, and the files that it mounts. `folder` leads from where it is to the folder of the application file, in
/// which certificate and key stay.
pub fn files(plan: &Plan, folder: &str) -> Vec<File> {
    let mut text = serde_json::to_string_pretty(&manifest(plan, folder)).unwrap_or_default();
    text.push('\n');
    let mounted = plan.mounts.iter().enumerate();
    let mounted = mounted.map(|(index, mount)| File::new(source(index, mount), &*mount.text));
    let role = File::new(format!("{FILES}/{ROLE_SCRIPT}"), role_script());
    let role = (!plan.databases.is_empty()).then_some(role);
    std::iter::once(File::new("manifest.json", text)).chain(mounted).chain(role).collect()
}

/// Where a file of the application is beside the manifest.
fn source(index: usize, mount: &Mount) -> String {
    if index == 0 { APPLICATION_FILE.to_owned() } else { format!("{FILES}/{}", mount.key) }
}

fn manifest(plan: &Plan, folder: &str) -> Value {
    let parameters = Parameters::of(plan);
    let mut resources = Map::new();
    for secret in plan.all_secrets() {
        resources.insert(parameters.name(&secret.name), parameter(&parameters, &secret));
    }
    for database in &plan.databases {
        resources.insert(database.name.clone(), server(plan, &parameters, database));
    }
    for models in &plan.models {
        resources.insert(models.name.clone(), model_server(plan, models));
    }
    resources.insert(plan.name.clone(), host(plan, &parameters, folder));
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

fn host(plan: &Plan, parameters: &Parameters, folder: &str) -> Value {
    let env: Map<_, _> = plan
        .secrets
        .iter()
        .map(|secret| (secret.name.clone(), parameters.value(&secret.name).into()))
        .collect();
    let mounts = plan.mounts.iter().enumerate().map(|(index, file)| {
        mount(&source(index, file), &format!("{}/{}", image::FOLDER, file.path))
    });
    let tls = plan.tls.iter().flat_map(|tls| tls.mounts(folder));
    let tls = tls.map(|(source, target)| mount(&source, &target));
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
    let Database { resource, name, password, admin_password, .. } = database;
    let password = parameters.value(password);
    let script = mount(
        &format!("{FILES}/{ROLE_SCRIPT}"),
        &format!("/docker-entrypoint-initdb.d/{ROLE_SCRIPT}"),
    );
    json!({
        "type": "container.v0",
        "image": plan.deploy.postgres_image,
        "connectionString": format!(
            "Host={{{name}.bindings.tcp.host}};Port={{{name}.bindings.tcp.port}};Username={resource};\
             Password={password};Database={resource}"
        ),
        "env": {
            "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256 --auth-local=scram-sha-256",
            "POSTGRES_PASSWORD": parameters.value(admin_password),
            "ROLE": resource,
            "ROLE_PASSWORD": password,
        },
        "bindings": { "tcp": {
            "scheme": "tcp", "protocol": "tcp", "transport": "tcp", "targetPort": 5432,
        } },
        "bindMounts": [script],
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

/// What the parameters are called, by secret: each has a name that no other one and no resource has.
struct Parameters(BTreeMap<String, String>);

impl Parameters {
    fn of(plan: &Plan) -> Self {
        let services = plan.services.iter().map(|service| service.name.clone());
        let databases = plan.databases.iter().map(|database| database.name.clone());
        let models = plan.models.iter().map(|models| models.name.clone());
        let mut taken: BTreeSet<String> = services.chain(databases).chain(models).collect();
        let mut names = BTreeMap::new();
        for secret in plan.all_secrets() {
            let plain = secret.name.to_ascii_lowercase().replace('_', "-");
            let plain = plain.trim_matches('-');
            let numbered = (2..).map(|number| format!("{plain}-secret-{number}"));
            let mut all = [plain.to_owned(), format!("{plain}-secret")].into_iter().chain(numbered);
            let free = all.find(|name| taken.insert(name.clone()));
            names.insert(secret.name, free.unwrap_or_default());
        }
        Self(names)
    }

    fn name(&self, secret: &str) -> String {
        self.0.get(secret).cloned().unwrap_or_default()
    }

    fn value(&self, secret: &str) -> String {
        format!("{{{}.value}}", self.name(secret))
    }
}
