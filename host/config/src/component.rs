//! The keys of `[service.<name>]` that only a component has.
//!
//! It exists to turn them into a `ComponentConfig`. It must not know other services or resources.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{
    ComponentConfig, ComponentSource, EnvironmentValue, Grants, PartConfig, Secret, ServiceKind,
    ServiceLimits, command, disk, route,
};
use wasm_host_capabilities::outgoing::settings::outbound;
use wasm_host_capabilities::postgres::has_literal_password;
use wasm_host_limits::keyvalue::CONFIG_BYTES;
use wasm_host_oci::Reference;
use wasm_host_oci::reference::SCHEME;
use wasm_host_settings::context::{Context, Located};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::field::plain_text;
use wasm_host_settings::file::{Table, free_texts};
use wasm_host_settings::named::What;
use wasm_host_telemetry::secrets::holds_secret;

/// Set by the host for the services that are granted.
const RESERVED_VARIABLE: &str = "services__";

const EXAMPLE: &str = "write it as a list of words, as in [\"cargo\", \"build\", \"--release\"]";

pub(super) fn component(
    cx: &Context<'_>,
    name: &str,
    table: &Table<'_>,
    grants: Grants,
) -> Option<ServiceKind> {
    let source =
        table.text(cx, "component").and_then(|written| source(cx, &written, table.has("build")));
    let middleware = middleware(cx, table);
    let with = with(cx, table);
    let environment = environment(cx, table);
    let configuration = configuration(cx, table);
    let health = table.text(cx, "health");
    let health = health.and_then(|path| cx.checked(&path.at, route::health_path(&path.value)));
    let outbound = outbound(cx, name, table);
    let sources = sources(cx, table);
    let build = build(cx, table, source.as_ref());
    let limits = service_limits(cx, table);
    let component = ComponentConfig {
        source: source?,
        build,
        sources,
        middleware,
        with,
        grants,
        outbound,
        environment,
        configuration,
        health,
        limits,
    };
    Some(ServiceKind::Component(Box::new(component)))
}

/// What builds the component, if the file says it.
fn build(
    cx: &Context<'_>,
    table: &Table<'_>,
    source: Option<&ComponentSource>,
) -> Option<Vec<String>> {
    let words = table.texts(cx, "build")?;
    command::check(cx, table, &words, EXAMPLE);
    if let Some(ComponentSource::Crate(_) | ComponentSource::Registry(_)) = source {
        let hint = "name the file that it writes as 'component', or remove 'build'; crates under components/ are \
                    built by 'build' of [watch]";
        cx.error(
            &table.at("build"),
            Problem::new("'build' makes a .wasm file, and 'component' is none", hint),
        );
    }
    Some(words.into_iter().map(|word| word.value).collect())
}

/// Where its sources are. With a build, the folder of the file unless it says another one. They need not be there:
/// where an application only runs, such as in an image, nothing asks for them.
fn sources(cx: &Context<'_>, table: &Table<'_>) -> Option<PathBuf> {
    match table.text(cx, "source") {
        Some(written) => Some(cx.folder.join(&written.value)),
        None => table.has("build").then(|| cx.folder.to_owned()),
    }
}

/// What stands in front of the component, the outermost first.
fn middleware(cx: &Context<'_>, table: &Table<'_>) -> Vec<PartConfig> {
    let written = table.texts(cx, "middleware").unwrap_or_default();
    written.iter().filter_map(|written| part(cx, table, written)).collect()
}

/// What serves imports, by the interfaces.
fn with(cx: &Context<'_>, table: &Table<'_>) -> Vec<(String, PartConfig)> {
    let example = "{ \"namespace:package/interface\" = \"other.wasm\" }";
    let Some((_, served)) = table.table(cx, "with", example) else { return Vec::new() };
    let mut with = Vec::new();
    for (interface, value) in served {
        let at = interface.span();
        let interface = interface.get_ref().as_ref();
        if let Some(problem) = not_an_interface(interface) {
            cx.error(&at, problem);
            continue;
        }
        let part = plain_text(cx, interface, value).and_then(|written| part(cx, table, &written));
        with.extend(part.map(|part| (interface.to_owned(), part)));
    }
    with
}

fn part(cx: &Context<'_>, table: &Table<'_>, written: &Located<String>) -> Option<PartConfig> {
    let (line, column) = cx.place(&written.at);
    Some(PartConfig {
        source: source(cx, written, table.has("build"))?,
        written: written.value.clone(),
        line,
        column,
    })
}

/// Why this cannot be the name of an interface that another component serves.
fn not_an_interface(name: &str) -> Option<Problem> {
    let (path, version) = name.split_once('@').map_or((name, None), |(a, b)| (a, Some(b)));
    if matches!(path, "wasi:http/handler" | "wasi:http/incoming-handler") {
        return Some(Problem::new(
            format!("{} is what middleware imports", quoted(name)),
            "write middleware = [\"other.wasm\"] for what stands in front of the component",
        ));
    }
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|it| it.is_ascii_alphanumeric() || it == '-')
    };
    let package = path.split_once('/').filter(|(_, interface)| is_word(interface));
    let package = package.and_then(|(package, _)| package.split_once(':'));
    let is_name = package.is_some_and(|(namespace, name)| is_word(namespace) && is_word(name));
    if is_name && version != Some("") {
        return None;
    }
    Some(Problem::new(
        format!("{} is no interface", quoted(name)),
        "write it as components import it, such as \"namespace:package/interface\", which means every version of \
         it, or \"namespace:package/interface@0.1.0\"",
    ))
}

/// `is_built`: what is not there yet is for its build to make.
fn source(cx: &Context<'_>, written: &Located<String>, is_built: bool) -> Option<ComponentSource> {
    let text = written.value.as_str();
    if text.starts_with(SCHEME) {
        let reference = cx.checked(&written.at, Reference::parse(text));
        return reference.map(ComponentSource::Registry);
    }
    if text.ends_with(".wasm") {
        let path = cx.path(What::Component, written);
        if is_built || disk::is_file(&path) {
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
