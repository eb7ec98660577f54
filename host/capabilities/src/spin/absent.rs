//! Interfaces that Spin has and this host does not: functions that fail when they are called.
//!
//! Some toolchains import all of Spin's platform, whatever the component uses: one of Python names Redis, MQTT and MySQL
//! although it asks none of them. So they are linked, by the types that the component itself gives them, and each call
//! says in one sentence what is not there.

use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem, Type};
use wasmtime::component::{Linker, LinkerInstance, ResourceType, Val};
use wasmtime::{Engine, bail};

use crate::instance::HasInstance;

/// What stands for all resources of such interfaces. There is never one.
struct Nothing;

/// The interfaces, by how their names begin, and what to say of each.
const ABSENT: &[(&str, &str)] = &[
    ("spin:redis/", REDIS),
    ("fermyon:spin/redis@", REDIS),
    ("spin:mqtt/", MQTT),
    ("fermyon:spin/mqtt@", MQTT),
    ("spin:mysql/", MYSQL),
    ("fermyon:spin/mysql@", MYSQL),
    ("wasi:otel/", OTEL),
];

const REDIS: &str = "this host has no client of Redis for components; keep values in a key-value store that the service is granted";
const MQTT: &str = "this host has no client of MQTT";
const MYSQL: &str = "this host has no client of MySQL; it has PostgreSQL";
const OTEL: &str =
    "this host sees the calls of a component by itself, and takes no telemetry by this interface";

/// What is said of WASI before it was finished. Its functions are imported by SDKs and not called.
const UNFINISHED: &str = "this host has WASI 0.3.0 and 0.2, and nothing of what came before them";

/// The snapshots of WASI that Spin's SDKs import beside finished versions.
const SNAPSHOT: &str = "@0.3.0-rc-2026-03-15";

/// Why an interface that Spin has is not answered here. None: it is none of those.
pub(super) fn why(import: &str) -> Option<&'static str> {
    if import.starts_with("wasi:") && import.ends_with(SNAPSHOT) {
        return Some(UNFINISHED);
    }
    ABSENT.iter().find(|(begins, _)| import.starts_with(begins)).map(|(_, why)| *why)
}

/// Link all functions of an interface as ones that fail and say why.
pub(super) fn link<T: HasInstance>(
    linker: &mut Linker<T>,
    engine: &Engine,
    import: &str,
    why: &'static str,
    interface: &ComponentInstance,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(import)?;
    for (name, item) in interface.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(function) => {
                let said = format!("{import} is not answered here: {why}");
                fails(&mut instance, name, &function, said)?;
            }
            ComponentItem::Resource(_) => {
                instance.resource(name, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn fails<T: HasInstance>(
    instance: &mut LinkerInstance<'_, T>,
    name: &str,
    function: &ComponentFunc,
    why: String,
) -> wasmtime::Result<()> {
    if function.async_() {
        return instance.func_new_concurrent(name, move |_, function, _, results| {
            let failed = fail(&function, &why, results);
            Box::pin(async move { failed })
        });
    }
    instance.func_new(name, move |_, function, _, results| fail(&function, &why, results))
}

/// An error of the function's own that says why, or a trap where it has none that says anything.
fn fail(function: &ComponentFunc, why: &str, results: &mut [Val]) -> wasmtime::Result<()> {
    let error = function.results().next().and_then(|result| match result {
        Type::Result(result) => error(&result.err()?, why),
        _ => None,
    });
    match (error, results) {
        (Some(error), [result]) => {
            *result = Val::Result(Err(Some(Box::new(error))));
            Ok(())
        }
        _ => bail!("{why}"),
    }
}

/// The case that says why in words: the one for all that has no case of its own, where there is one.
fn error(error: &Type, why: &str) -> Option<Val> {
    let says = |ty: Option<Type>| matches!(ty, Some(Type::String));
    match error {
        Type::String => Some(Val::String(why.to_owned())),
        Type::Variant(variant) => {
            let mut cases: Vec<_> = variant.cases().filter(|case| says(case.ty.clone())).collect();
            let other = cases.iter().position(|case| case.name == "other").unwrap_or_default();
            if cases.is_empty() {
                return None;
            }
            let case = cases.swap_remove(other);
            let why = Val::String(why.to_owned());
            Some(Val::Variant(case.name.to_owned(), Some(Box::new(why))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_known_by_name() {
        for import in [
            "spin:redis/redis@3.0.0",
            "fermyon:spin/redis@2.0.0",
            "fermyon:spin/mysql@2.0.0",
            "spin:mqtt/mqtt@3.0.0",
            "wasi:otel/tracing@0.2.0-rc.2",
            "wasi:http/client@0.3.0-rc-2026-03-15",
        ] {
            assert!(why(import).is_some(), "{import}");
        }
        for import in [
            "fermyon:spin/llm@2.0.0",
            "spin:postgres/postgres@4.2.0",
            "wasi:http/client@0.3.0",
            "wasi:http/client@0.3.0-rc-2025-09-16",
            "acme:thing/x@0.3.0-rc-2026-03-15",
        ] {
            assert_eq!(why(import), None, "{import}");
        }
    }
}
