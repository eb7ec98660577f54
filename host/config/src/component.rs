//! The keys of `[service.<name>]` that only a component has.
//!
//! It exists to turn them into a `ComponentConfig`. It must not know other services or resources.

use std::collections::BTreeMap;

use super::{
    ComponentConfig, ComponentSource, EnvironmentValue, Grants, Secret, ServiceKind, ServiceLimits,
    disk, route,
};
use wasm_host_capabilities::outgoing::settings::outbound;
use wasm_host_capabilities::postgres::has_literal_password;
use wasm_host_limits::keyvalue::CONFIG_BYTES;
use wasm_host_oci::Reference;
use wasm_host_oci::reference::SCHEME;
use wasm_host_settings::context::{Context, Located};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::file::{Table, free_texts};
use wasm_host_settings::named::What;
use wasm_host_telemetry::secrets::holds_secret;

/// Set by the host for the services that are granted.
const RESERVED_VARIABLE: &str = "services__";

pub(super) fn component(
    cx: &Context<'_>,
    name: &str,
    table: &Table<'_>,
    grants: Grants,
) -> Option<ServiceKind> {
    let source = table.text(cx, "component").and_then(|written| source(cx, &written));
    let environment = environment(cx, table);
    let configuration = configuration(cx, table);
    let health = table.text(cx, "health");
    let health = health.and_then(|path| cx.checked(&path.at, route::health_path(&path.value)));
    let outbound = outbound(cx, name, table);
    let limits = service_limits(cx, table);
    let component = ComponentConfig {
        source: source?,
        grants,
        outbound,
        environment,
        configuration,
        health,
        limits,
    };
    Some(ServiceKind::Component(Box::new(component)))
}

fn source(cx: &Context<'_>, written: &Located<String>) -> Option<ComponentSource> {
    let text = written.value.as_str();
    if text.starts_with(SCHEME) {
        let reference = cx.checked(&written.at, Reference::parse(text));
        return reference.map(ComponentSource::Registry);
    }
    if text.ends_with(".wasm") {
        let path = cx.path(What::Component, written);
        if disk::is_file(&path) {
            return Some(ComponentSource::File(path));
        }
        let hint = cx.similar_path(text).unwrap_or_else(|| {
            "build it first; paths are relative to the folder of the application file".to_owned()
        });
        let message = format!("the component {} does not exist", quoted(text));
        cx.error(&written.at, Problem::new(message, hint));
        return None;
    }
    if text.is_empty() || text.contains(['/', '\\']) {
        let last = text.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or_default();
        let hint = if text.starts_with("components/") {
            format!("did you mean {}?", quoted(last))
        } else if let Ok(reference) = Reference::parse(text) {
            format!("did you mean {}?", quoted(&reference.to_string()))
        } else {
            "write the name of a crate under components/, the path of a .wasm file, or oci://HOST/REPOSITORY:TAG".to_owned()
        };
        cx.error(&written.at, Problem::new(format!("{} is no component", quoted(text)), hint));
        return None;
    }
    if disk::is_folder(&cx.folder.join("components").join(text)) {
        cx.name(What::Crate, text, &written.at);
        return Some(ComponentSource::Crate(text.to_owned()));
    }
    let hint = cx
        .similar_path(&format!("components/{text}"))
        .map(|hint| hint.replace("'components/", "'"))
        .unwrap_or_else(|| "a path to a component ends with .wasm".to_owned());
    cx.error(
        &written.at,
        Problem::new(format!("there is no crate {}", quoted(&format!("components/{text}"))), hint),
    );
    None
}

fn environment(cx: &Context<'_>, table: &Table<'_>) -> BTreeMap<String, EnvironmentValue> {
    values(cx, table, "environment", |name| {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("{} cannot be the name of a variable", quoted(name));
            return Err(Problem::new(message, "use letters, digits and '_'"));
        }
        if name.starts_with(RESERVED_VARIABLE) {
            return Err(Problem::new(
                format!("{} is set by the host", quoted(name)),
                "name the service in 'services' instead",
            ));
        }
        Ok(())
    })
}

fn configuration(cx: &Context<'_>, table: &Table<'_>) -> BTreeMap<String, EnvironmentValue> {
    let values = values(cx, table, "config", |key| match key.is_empty() {
        true => Err(Problem::new("a key of a configuration is empty", "give it a name")),
        false => Ok(()),
    });
    let bytes: usize = values.iter().map(|(key, value)| key.len() + value.expose().len()).sum();
    if bytes > CONFIG_BYTES {
        cx.error(
            &table.at("config"),
            Problem::new(
                format!("the configuration has {bytes} bytes, and may have {CONFIG_BYTES}"),
                "keep what is large in a bucket, a database or the component",
            ),
        );
    }
    values
}

/// The values of a table with free keys, some of which may be secrets.
fn values(
    cx: &Context<'_>,
    table: &Table<'_>,
    key: &str,
    check: impl Fn(&str) -> Result<(), Problem>,
) -> BTreeMap<String, EnvironmentValue> {
    let Some((_, written)) = table.table(cx, key, "{ NAME = \"value\" }") else {
        return BTreeMap::new();
    };
    let mut values = BTreeMap::new();
    for (name, value) in free_texts(cx, written) {
        if let Err(problem) = check(name.value) {
            cx.error(&name.at, problem);
            continue;
        }
        let Some(Located { value, at }) = value else {
            continue;
        };
        if has_literal_password(&value.skeleton) {
            cx.error(
                &at,
                Problem::new(
                    "a password stands in the file",
                    "take it from the environment with ${NAME} or from a file with ${file:/path}",
                ),
            );
        }
        let literal_secret =
            !value.is_secret() && !value.value.is_empty() && holds_secret(name.value);
        if literal_secret {
            cx.warning(
                &at,
                Problem::new(
                    format!("{} looks like a secret that stands in the file", quoted(name.value)),
                    "take it from the environment with ${NAME} or from a file with ${file:/path}",
                ),
            );
        }
        let value = if value.is_secret() || literal_secret {
            EnvironmentValue::Secret(Secret::new(value.value))
        } else {
            EnvironmentValue::Plain(value.value)
        };
        values.insert(name.value.to_owned(), value);
    }
    values
}

pub(super) fn service_limits(cx: &Context<'_>, table: &Table<'_>) -> ServiceLimits {
    let service: ServiceLimits = table.settings(cx);
    // The component is not looked at here, so both defaults are shown.
    let in_rust = ServiceLimits::per_instance();
    let default = format!("{} in Rust, else 1", in_rust.default);
    cx.set_default(table.header(), in_rust.key, &default);
    if service.memory_bytes > service.memory_total_bytes {
        let key = if table.has("memory-total") { "memory-total" } else { "memory" };
        cx.error(
            &table.at(key),
            Problem::new(
                "'memory' of one instance is more than 'memory-total' of all of them",
                "raise 'memory-total', or lower 'memory'",
            ),
        );
    }
    if service.warm > service.instances {
        let (warm, instances) = (service.warm, service.instances);
        cx.error(
            &table.at("warm"),
            Problem::new(
                format!("'warm' is {warm} but there may be only {instances} 'instances'"),
                "raise 'instances', or lower 'warm'",
            ),
        );
    }
    let room = service.admitted(service.per_instance.unwrap_or(in_rust.default));
    if table.has("concurrent") && room < service.concurrent {
        cx.warning(
            &table.at("concurrent"),
            Problem::new(
                format!(
                    "'concurrent' is {} but the instances have room for {room}",
                    service.concurrent
                ),
                "raise 'instances' or 'per-instance', or lower 'concurrent'",
            ),
        );
    }
    service
}
