//! `[service.<name>]`: one table.
//!
//! It exists to turn one table into one service. Whether the names in its grants exist, and whether
//! its route is free, is for `resolve`, which knows the whole file.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::patience::Written;
use super::{
    Grants, ServiceConfig, ServiceKind, ServiceLimits, StaticLimits, component, cors, route,
};
use wasm_host_capabilities as capability;
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::context::{Context, Located, Span};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::disk;
use wasm_host_settings::file::Table;
use wasm_host_settings::named::What;

/// Before the keys that grant capabilities, and after them.
const FIRST_KEYS: &[&str] =
    &["component", "middleware", "with", "static", "route", "keep-path", "internal", "cors"];
const OTHER_KEYS: &[&str] =
    &["services", "outbound", "environment", "config", "health", "build", "source"];

/// What a folder of files has in common with a component, beside its settings.
const STATIC_KEYS: &[&str] = &["static", "route", "cors"];

/// What may stand in the table.
fn keys() -> Vec<&'static str> {
    let granting: Vec<_> = capability::ALL.iter().map(|capability| capability.key()).collect();
    [FIRST_KEYS, &granting, OTHER_KEYS, &ServiceLimits::keys()].concat()
}

/// A service with the places of all that `resolve` has to look up.
pub(super) struct Draft {
    /// `None` if what it consists of is wrong; that has been reported.
    pub(super) config: Option<ServiceConfig>,
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) is_static: bool,
    pub(super) internal: bool,
    /// `None` for an internal service, and for a route that is wrong.
    pub(super) route: Option<Located<String>>,
    /// The resources that it is granted, by the keys of their capabilities.
    pub(super) granted: BTreeMap<&'static str, Vec<Located<String>>>,
    pub(super) services: Vec<Located<String>>,
    pub(super) written: Written,
}

pub(super) fn service<'t>(cx: &Context<'_>, name: &str, at: Span, table: &'t DeTable<'t>) -> Draft {
    let table = Table::open(cx, &format!("[service.{name}]"), at.clone(), table, &keys());
    let internal = table.flag(cx, "internal").unwrap_or(false);
    let route = route(cx, name, internal, &table);
    let cors = cors::cors(cx, name, &table);
    if internal && cors.is_some() {
        cx.error(
            &table.at("cors"),
            Problem::new(
                format!("service {} is internal and has 'cors'", quoted(name)),
                "remove it: no page reaches an internal service",
            ),
        );
    }
    let keeps_path = table.flag(cx, "keep-path").unwrap_or(false);
    if internal && keeps_path {
        cx.error(
            &table.at("keep-path"),
            Problem::new(
                format!("service {} is internal and has 'keep-path'", quoted(name)),
                "remove it: other services name no route, and nothing is taken off their paths",
            ),
        );
    }
    let granted = capability::ALL.iter().filter_map(|capability| {
        let key = capability.key();
        let names = match capability.several() {
            true => table.texts(cx, key)?,
            false => vec![table.text(cx, key)?],
        };
        Some((key, names))
    });
    let granted: BTreeMap<_, _> = granted.collect();
    let services = table.texts(cx, "services").unwrap_or_default();
    let grants = Grants {
        resources: granted
            .iter()
            .flat_map(|(key, names)| names.iter().map(|name| (*key, name.value.clone())))
            .collect(),
        services: services.iter().map(|service| service.value.clone()).collect(),
    };
    let kind = kind(cx, name, &table, grants);
    let config = kind.map(|kind| ServiceConfig {
        name: name.to_owned(),
        line: cx.line(&at),
        route: route.as_ref().map(|route| route.value.clone()),
        keeps_path,
        cors,
        kind,
    });
    let is_static = table.has("static");
    let at_key = |key| table.has(key).then(|| table.at(key));
    let written = Written {
        first_byte: at_key(ServiceLimits::first_byte_timeout().key),
        timeout: at_key(ServiceLimits::timeout().key),
        stream_idle: at_key(ServiceLimits::stream_idle_timeout().key),
    };
    Draft {
        config,
        name: name.to_owned(),
        at,
        is_static,
        internal,
        route,
        granted,
        services,
        written,
    }
}

fn route(
    cx: &Context<'_>,
    name: &str,
    internal: bool,
    table: &Table<'_>,
) -> Option<Located<String>> {
    if internal && table.has("route") {
        cx.error(
            &table.at("route"),
            Problem::new(
                format!("service {} is internal and has a route", quoted(name)),
                "remove 'route', or remove 'internal' to let clients reach it",
            ),
        );
        return None;
    }
    if internal {
        return None;
    }
    if !table.has("route") {
        return Some(Located { value: format!("/{name}"), at: table.at.clone() });
    }
    let written = table.text(cx, "route")?;
    let value = cx.checked(&written.at, route::normalised(&written.value))?;
    Some(Located { value, at: written.at })
}

fn kind(cx: &Context<'_>, name: &str, table: &Table<'_>, grants: Grants) -> Option<ServiceKind> {
    match (table.has("component"), table.has("static")) {
        (true, false) => component::component(cx, name, table, grants),
        (false, true) => {
            let dir = static_folder(cx, table);
            let known = [STATIC_KEYS, &StaticLimits::keys()].concat();
            for key in keys().iter().filter(|key| !known.contains(key) && table.has(key)) {
                cx.error(
                    &table.at(key),
                    Problem::new(
                        format!("'{key}' means nothing for a service of static files"),
                        "remove it; it is for components",
                    ),
                );
            }
            dir
        }
        (true, true) => {
            cx.error(
                &table.at("static"),
                Problem::new(
                    format!("service {} has both 'component' and 'static'", quoted(name)),
                    "keep one of them, and make a second service for the other",
                ),
            );
            None
        }
        (false, false) => {
            cx.missing(
                &table.at,
                Problem::new(
                    format!("service {} has neither 'component' nor 'static'", quoted(name)),
                    "add component = \"<crate or .wasm file>\" or static = \"<folder>\"",
                ),
            );
            None
        }
    }
}

fn static_folder(cx: &Context<'_>, table: &Table<'_>) -> Option<ServiceKind> {
    let written = table.text(cx, "static")?;
    let dir = cx.path(What::Folder, &written);
    if !disk::is_folder(&dir) {
        let hint = cx.similar_path(&written.value).unwrap_or_else(|| {
            "build what it should hold first; paths are relative to the folder of the application \
             file"
                .to_owned()
        });
        let message = format!("the folder {} does not exist", quoted(&written.value));
        cx.error(&written.at, Problem::new(message, hint));
    }
    Some(ServiceKind::Static { dir, limits: table.settings(cx) })
}
