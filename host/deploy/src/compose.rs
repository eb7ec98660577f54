//! The application for Compose: containers of one machine.
//!
//! Files stand in the same document, so that it can be moved alone; it needs Compose 2.23.1 or newer for that. Secrets
//! are variables without which it does not start, from the environment or the file `.env` beside it.

use crate::data::put;
use serde_json::{Map, Value, json};
use wasm_host_limits::deploy as limits;

use crate::kubernetes::{postgres_user, seconds};
use crate::kustomize::missing_secrets;
use crate::plan::{Database, ModelServer};
use crate::{Plan, image, yaml};

/// How the host is started in a container.
pub(crate) fn arguments() -> Vec<String> {
    let wait = format!("{}s", limits::DATABASES_TIMEOUT.as_secs());
    let file = format!("{}/{}", image::FOLDER, image::FILE);
    ["serve", &file, "--wait", &wait, "--log-format", "json"].map(str::to_owned).to_vec()
}

/// The document. `folder` leads from where it is to the folder of the application file, in which certificate and key stay.
pub fn text(plan: &Plan, folder: &str) -> String {
    let mut services = Map::new();
    let mut volumes = Map::new();
    let mut configs = Map::new();
    services.insert(plan.name.clone(), host(plan, folder));
    for mount in &plan.mounts {
        configs.insert(config_name(&mount.key), json!({ "content": escaped(&mount.text) }));
    }
    volumes.insert("state".to_owned(), json!({}));
    for database in &plan.databases {
        services.insert(database.name.clone(), postgres(plan, database));
        volumes.insert(format!("{}-data", database.name), json!({}));
        let script = crate::kubernetes::role_script();
        configs.insert("postgres-role".to_owned(), json!({ "content": escaped(script) }));
    }
    for models in &plan.models {
        services.insert(models.name.clone(), ollama(plan, models));
        volumes.insert(format!("{}-models", models.name), json!({}));
    }
    let body = json!({
        "name": plan.name,
        "services": services,
        "volumes": volumes,
        "configs": configs,
    });
    format!(
        "# Made by `wasm-host deploy compose` from the application file, which is where changes belong.\n# Needs Compose \
         2.23.1 or newer.\n{}",
        yaml::document(&body)
    )
}

/// The lines that `.env` lacks: passwords that are made. All other secrets come from the environment.
pub fn missing_variables(
    plan: &Plan,
    file: &str,
    made: impl FnMut(&str) -> Option<String>,
) -> String {
    let mut own = plan.clone();
    own.secrets.retain(|secret| secret.origin == crate::plan::Origin::Made);
    missing_secrets(&own, file, made)
}

/// What all containers have. None of those with configs has a root that cannot be written: Compose copies what stands in
/// its file into them, which the engine then refuses.
fn container(image: &str, memory_bytes: u64) -> Value {
    json!({
        "image": image,
        "restart": "unless-stopped",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": memory_bytes,
        "networks": ["default"],
    })
}

fn host(plan: &Plan, folder: &str) -> Value {
    let mut host = container(&plan.image, plan.memory_bytes);
    put(&mut host, "user", user(image::USER));
    let environment: Map<_, _> =
        plan.secrets.iter().map(|secret| (secret.name.clone(), required(&secret.name))).collect();
    let files = plan.mounts.iter().map(|mount| {
        json!({
            "source": config_name(&mount.key),
            "target": format!("{}/{}", image::FOLDER, mount.path),
        })
    });
    let mut volumes = vec![json!({ "type": "volume", "source": "state", "target": image::STATE })];
    if let Some(tls) = &plan.tls {
        for (source, target) in tls.mounts(folder) {
            volumes.push(json!({
                "type": "bind", "source": source, "target": target, "read_only": true,
            }));
        }
    }
    put(&mut host, "entrypoint", json!([image::PROGRAM]));
    put(&mut host, "command", arguments());
    put(&mut host, "environment", environment);
    put(&mut host, "configs", files.collect::<Vec<_>>());
    put(&mut host, "volumes", volumes);
    put(&mut host, "ports", json!([format!("127.0.0.1:{}:{}", plan.port, image::HTTP_PORT)]));
    put(&mut host, "stop_grace_period", format!("{}s", seconds(plan.grace())));
    let control = format!("{}/host", image::STATE);
    put(
        &mut host,
        "healthcheck",
        json!({
            "test": ["CMD", image::PROGRAM, "ps", "--state", control],
            "interval": "5s",
            "timeout": "5s",
            "retries": 3,
            "start_period": format!("{}s", limits::START_TIMEOUT.as_secs()),
        }),
    );
    let waits: Map<_, _> = plan
        .databases
        .iter()
        .map(|database| (database.name.clone(), json!({ "condition": "service_healthy" })))
        .collect();
    if !waits.is_empty() {
        put(&mut host, "depends_on", waits);
    }
    host
}

fn postgres(plan: &Plan, database: &Database) -> Value {
    let Database { resource, name, password, admin_password, .. } = database;
    let mut server = container(&plan.deploy.postgres_image, limits::DATABASE_MEMORY_BYTES);
    put(&mut server, "user", user(postgres_user(&plan.deploy.postgres_image)));
    put(
        &mut server,
        "environment",
        json!({
            "PGDATA": "/var/lib/postgresql/data/pgdata",
            "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256 --auth-local=scram-sha-256",
            "POSTGRES_PASSWORD": required(admin_password),
            "ROLE": resource,
            "ROLE_PASSWORD": required(password),
        }),
    );
    put(
        &mut server,
        "configs",
        json!([{
            "source": "postgres-role",
            "target": "/docker-entrypoint-initdb.d/10-role.sh",
        }]),
    );
    put(
        &mut server,
        "volumes",
        json!([{
            "type": "volume", "source": format!("{name}-data"), "target": "/var/lib/postgresql/data",
        }]),
    );
    put(&mut server, "tmpfs", json!(["/tmp", "/var/run/postgresql"]));
    put(&mut server, "shm_size", limits::DATABASE_SHARED_BYTES);
    put(&mut server, "stop_grace_period", "60s");
    put(
        &mut server,
        "healthcheck",
        json!({
            "test": ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", resource, "-d", resource],
            "interval": "2s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "300s",
        }),
    );
    server
}

fn ollama(plan: &Plan, models: &ModelServer) -> Value {
    let memory = plan.deploy.limits.models_memory_bytes;
    let mut server = container(&plan.deploy.ollama_image, memory);
    // The user of the image: a new volume belongs to it, as the image has no such folder.
    put(&mut server, "read_only", true);
    put(
        &mut server,
        "environment",
        json!({
            "HOME": "/models",
            "OLLAMA_HOST": "0.0.0.0:11434",
            "OLLAMA_MODELS": "/models/models",
        }),
    );
    put(
        &mut server,
        "volumes",
        json!([{
            "type": "volume", "source": format!("{}-models", models.name), "target": "/models",
        }]),
    );
    put(&mut server, "tmpfs", json!(["/tmp"]));
    server
}

fn user(id: u32) -> String {
    format!("{id}:{id}")
}

/// A variable without which nothing starts.
fn required(name: &str) -> Value {
    format!("${{{name}:?set {name} in the environment or in .env}}").into()
}

/// What stands for itself where Compose puts in variables.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// Names of configs have no dots everywhere.
fn config_name(key: &str) -> String {
    key.replace('.', "-")
}
