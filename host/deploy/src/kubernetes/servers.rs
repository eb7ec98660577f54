//! Servers beside the host: a Postgres and an Ollama for each table without a url, each with a volume.

use crate::data::put;
use serde_json::{Value, json};
use wasm_host_limits::deploy as limits;

use super::{
    Object, container_security, object, pod_security, quantity, secret_variable, selector,
    service_port,
};
use crate::Plan;
use crate::plan::Database;

/// The users of the images of Postgres: of Debian's, and of Alpine's, whose tags say so. A server does not start as one that
/// its image has not.
const POSTGRES_USER: u32 = 999;
const POSTGRES_USER_OF_ALPINE: u32 = 70;

pub(crate) fn postgres_user(image: &str) -> u32 {
    if image.contains("alpine") { POSTGRES_USER_OF_ALPINE } else { POSTGRES_USER }
}

/// Any that is not root: Ollama's image has no other.
const OLLAMA_USER: u32 = 1000;

const ROLE_SCRIPT: &str = "10-role.sh";

pub(super) fn objects(plan: &Plan) -> Vec<Object> {
    let databases = plan.databases.iter().flat_map(|database| {
        let component = &database.name;
        let user = postgres_user(&plan.deploy.postgres_image);
        let data = json!({ "data": { ROLE_SCRIPT: role_script() } });
        [
            object(plan, ("v1", "ConfigMap"), scripts_name(database), component, data),
            set(plan, component, postgres(plan, database), database.storage_bytes, user),
            service(plan, component, service_port("postgres", 5432, None)),
        ]
    });
    let models = plan.models.iter().flat_map(|models| {
        let storage = plan.deploy.limits.models_bytes;
        [
            set(plan, &models.name, ollama(plan), storage, OLLAMA_USER),
            service(plan, &models.name, service_port("ollama", 11_434, Some("http"))),
        ]
    });
    databases.chain(models).collect()
}

fn scripts_name(database: &Database) -> String {
    format!("{}-scripts", database.name)
}

/// What a server has of its own: its container, and volumes beside the one for its data.
struct Server {
    container: Value,
    volumes: Vec<Value>,
}

/// One pod with its volume, which outlives it.
fn set(plan: &Plan, name: &str, server: Server, storage_bytes: u64, user: u32) -> Object {
    let mut claim = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": quantity(storage_bytes) } },
    });
    if let Some(class) = &plan.deploy.storage_class {
        put(&mut claim, "storageClassName", class.as_str());
    }
    let spec = json!({
        "replicas": 1,
        "serviceName": name,
        "selector": { "matchLabels": selector(plan, name) },
        "template": {
            "metadata": { "labels": super::labels(plan, name) },
            "spec": {
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "securityContext": pod_security(user),
                "terminationGracePeriodSeconds": 60,
                "containers": [server.container],
                "volumes": server.volumes,
            },
        },
        "volumeClaimTemplates": [{
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "name": "data", "labels": selector(plan, name) },
            "spec": claim,
        }],
    });
    let object = object(plan, ("apps/v1", "StatefulSet"), name, name, json!({ "spec": spec }));
    match plan.deploy.storage_class {
        Some(_) => {
            object.knob("/spec/volumeClaimTemplates/0/spec/storageClassName", "storageClass")
        }
        None => object,
    }
}

fn service(plan: &Plan, name: &str, port: Value) -> Object {
    let spec = json!({ "type": "ClusterIP", "selector": selector(plan, name), "ports": [port] });
    object(plan, ("v1", "Service"), name, name, json!({ "spec": spec }))
}

fn postgres(plan: &Plan, database: &Database) -> Server {
    let Database { resource, password, admin_password, .. } = database;
    // Not by the socket: the server that only makes the database listens there, too.
    let ready = json!(["pg_isready", "-h", "127.0.0.1", "-U", resource, "-d", resource]);
    let memory = quantity(limits::DATABASE_MEMORY_BYTES);
    let container = json!({
        "name": "postgres",
        "image": plan.deploy.postgres_image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{ "name": "postgres", "containerPort": 5432, "protocol": "TCP" }],
        "env": [
            { "name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata" },
            {
                "name": "POSTGRES_INITDB_ARGS",
                "value": "--auth-host=scram-sha-256 --auth-local=scram-sha-256",
            },
            secret_variable(plan, "POSTGRES_PASSWORD", admin_password),
            // Read by the script alone.
            { "name": "ROLE", "value": resource },
            secret_variable(plan, "ROLE_PASSWORD", password),
        ],
        "startupProbe": {
            "exec": { "command": ready }, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 150,
        },
        "livenessProbe": {
            "exec": { "command": ready }, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6,
        },
        "readinessProbe": {
            "exec": { "command": ready }, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2,
        },
        "resources": {
            "requests": { "cpu": "100m", "memory": quantity(limits::DATABASE_MEMORY_BYTES / 4) },
            "limits": { "memory": memory },
        },
        "securityContext": container_security(),
        "volumeMounts": [
            { "name": "data", "mountPath": "/var/lib/postgresql/data" },
            { "name": "run", "mountPath": "/var/run/postgresql" },
            { "name": "tmp", "mountPath": "/tmp" },
            { "name": "shared", "mountPath": "/dev/shm" },
            { "name": "scripts", "mountPath": "/docker-entrypoint-initdb.d", "readOnly": true },
        ],
    });
    let shared = quantity(limits::DATABASE_SHARED_BYTES);
    let volumes = vec![
        json!({ "name": "run", "emptyDir": { "sizeLimit": "16Mi" } }),
        json!({ "name": "tmp", "emptyDir": { "sizeLimit": quantity(limits::TEMPORARY_BYTES) } }),
        json!({ "name": "shared", "emptyDir": { "medium": "Memory", "sizeLimit": shared } }),
        json!({ "name": "scripts", "configMap": { "name": scripts_name(database) } }),
    ];
    Server { container, volumes }
}

/// Runs once, in a server that is new: the role of the application owns no more than it does on a laptop. The password is
/// read of the environment, so that no list of processes has it.
pub(crate) fn role_script() -> &'static str {
    r#"# The server's own script reads this one as a part of itself, so nothing is set that would stay.
psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set role `printenv ROLE`
\set password `printenv ROLE_PASSWORD`
create role :"role" login password :'password';
create database :"role";
revoke all on database :"role" from public;
grant connect, create, temporary on database :"role" to :"role";
\connect :"role"
alter schema public owner to :"role";
SQL
"#
}

fn ollama(plan: &Plan) -> Server {
    let memory = quantity(plan.deploy.limits.models_memory_bytes);
    let get = json!({ "path": "/", "port": "ollama", "scheme": "HTTP" });
    let probe = |period: u64, failures: u64| {
        json!({
            "httpGet": get,
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        })
    };
    let container = json!({
        "name": "ollama",
        "image": plan.deploy.ollama_image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{ "name": "ollama", "containerPort": 11434, "protocol": "TCP" }],
        "env": [
            { "name": "HOME", "value": "/models" },
            { "name": "OLLAMA_HOST", "value": "0.0.0.0:11434" },
            { "name": "OLLAMA_MODELS", "value": "/models/models" },
        ],
        "startupProbe": probe(2, 150),
        "livenessProbe": probe(10, 6),
        "readinessProbe": probe(5, 2),
        "resources": {
            "requests": { "cpu": "250m", "memory": quantity(plan.deploy.limits.models_memory_bytes / 4) },
            "limits": { "memory": memory },
        },
        "securityContext": container_security(),
        "volumeMounts": [
            { "name": "data", "mountPath": "/models" },
            { "name": "tmp", "mountPath": "/tmp" },
        ],
    });
    let tmp =
        json!({ "name": "tmp", "emptyDir": { "sizeLimit": quantity(limits::TEMPORARY_BYTES) } });
    Server { container, volumes: vec![tmp] }
}
