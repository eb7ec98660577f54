//! Names in the application file that refer to something else in it.
//!
//! It exists to check what no single table can: grants, calls and fallbacks name something that is
//! there, routes are free, and nothing is declared without use. It must not do I/O.

use std::collections::{BTreeMap, BTreeSet};

use super::Resources;
use super::service::Draft;
use wasm_host_limits::show::show_size;
use wasm_host_settings::context::{Context, Located, Span};
use wasm_host_settings::diagnostic::{Problem, nearest, quoted};
use wasm_host_settings::resource::StandIn;

/// All resources of one kind: where each is declared.
pub(super) type Declared = BTreeMap<String, Span>;

/// The stand-in of each resource that has one, by its key and its name.
pub(super) type Fallbacks = BTreeMap<(&'static str, String), StandIn>;

pub(super) fn routes(cx: &Context<'_>, drafts: &[Draft]) {
    let mut taken: BTreeMap<&str, &Draft> = BTreeMap::new();
    for draft in drafts {
        let Some(route) = &draft.route else { continue };
        let Some(first) = taken.get(route.value.as_str()) else {
            taken.insert(&route.value, draft);
            continue;
        };
        let line = first.route.as_ref().map_or(0, |route| cx.line(&route.at));
        cx.error(
            &route.at,
            Problem::new(
                format!(
                    "services {} (line {line}) and {} have the same route {}",
                    quoted(&first.name),
                    quoted(&draft.name),
                    quoted(&route.value)
                ),
                "change 'route' of one of them",
            ),
        );
    }
}

/// Each grant of one kind names a resource, and each resource is granted to a service.
pub(super) fn grants(cx: &Context<'_>, kind: &str, declared: &Declared, drafts: &[Draft]) {
    if drafts.is_empty() {
        return;
    }
    let mut used = BTreeSet::new();
    for granted in drafts.iter().filter_map(|draft| draft.granted.get(kind)).flatten() {
        if declared.contains_key(&granted.value) {
            used.insert(&granted.value);
            continue;
        }
        // One slip, one message: the resource that was meant is not also reported as unused.
        let similar = nearest(&granted.value, declared.keys().map(String::as_str));
        used.extend(declared.keys().filter(|name| Some(name.as_str()) == similar));
        let add = format!("add [{kind}.{}]", granted.value);
        let hint = match similar {
            Some(similar) => format!("did you mean {}? otherwise {add}", quoted(similar)),
            None => add,
        };
        let message = format!("there is no [{kind}.{}]", granted.value.escape_debug());
        cx.missing(&granted.at, Problem::new(message, hint));
    }
    for (name, at) in declared.iter().filter(|(name, _)| !used.contains(name)) {
        cx.warning(
            at,
            Problem::new(
                format!("no service uses [{kind}.{name}]"),
                format!("add {kind} = \"{name}\" to a service, or remove it"),
            ),
        );
    }
}

/// Of two tables, neither has the other's keys: that would be a grant of both.
pub(super) fn apart(
    cx: &Context<'_>,
    declared: &[(&'static str, Declared)],
    resources: &Resources,
) {
    for (kind, declared) in declared {
        let keys = resources.of_key(kind).filter_map(|(name, it)| Some((name, it.keys()?)));
        let keys: Vec<_> = keys.collect();
        for (number, (first, one)) in keys.iter().enumerate() {
            for (second, other) in keys.iter().skip(number + 1) {
                let (whole, part) = match (one.contain(other), other.contain(one)) {
                    (true, _) => (first, second),
                    (false, true) => (second, first),
                    (false, false) => continue,
                };
                let Some(at) = declared.get(*part) else { continue };
                cx.warning(
                    at,
                    Problem::new(
                        format!(
                            "[{kind}.{whole}] has all keys of [{kind}.{part}], too: they are on one server, and the \
                             'prefix' of the one begins with that of the other"
                        ),
                        "give them a 'prefix' each of which neither begins with the other",
                    ),
                );
            }
        }
    }
}

/// What tables keep in memory is beside what the host has for components, and small beside it.
pub(super) fn in_memory(
    cx: &Context<'_>,
    declared: &[(&'static str, Declared)],
    resources: &Resources,
    memory_bytes: u64,
) {
    let all: u64 = resources.all().map(|(_, _, resource)| resource.memory_bytes()).sum();
    if all <= memory_bytes {
        return;
    }
    let largest = resources.all().max_by_key(|(_, _, resource)| resource.memory_bytes());
    let Some((kind, name, _)) = largest else { return };
    let at = declared.iter().find(|(key, _)| *key == kind).and_then(|(_, all)| all.get(name));
    let (all, memory) = (show_size(all), show_size(memory_bytes));
    cx.warning(
        at.unwrap_or(&(0..0)),
        Problem::new(
            format!(
                "what is kept in memory may take {all} together, beside the {memory} of 'memory' of [limits], in which \
                 it does not count"
            ),
            format!("lower 'size', as of [{kind}.{name}], or keep it elsewhere"),
        ),
    );
}

pub(super) fn calls(cx: &Context<'_>, drafts: &[Draft]) {
    for callee in drafts.iter().flat_map(|draft| &draft.services) {
        if find_service(cx, callee, drafts).is_some_and(|service| service.is_static) {
            cx.error(
                &callee.at,
                Problem::new(
                    format!("service {} serves static files", quoted(&callee.value)),
                    "remove it: components call components",
                ),
            );
        }
    }
}

pub(super) fn fallbacks(cx: &Context<'_>, fallbacks: &Fallbacks, drafts: &[Draft]) {
    for ((kind, resource), StandIn { service: fallback, what }) in fallbacks {
        let Some(service) = find_service(cx, fallback, drafts) else {
            continue;
        };
        if service.is_static {
            cx.error(
                &fallback.at,
                Problem::new(
                    format!("fallback {} serves static files", quoted(&fallback.value)),
                    format!("name a service with {what}"),
                ),
            );
        }
        let mut granted = service.granted.get(kind).into_iter().flatten();
        if let Some(granted) = granted.find(|it| it.value == *resource) {
            cx.error(
                &fallback.at,
                Problem::new(
                    format!(
                        "service {} stands in for [{kind}.{resource}] and uses it (line {}): it \
                         would call itself",
                        quoted(&fallback.value),
                        cx.line(&granted.at),
                    ),
                    format!("remove its '{kind}', or name another fallback"),
                ),
            );
        }
    }
}

/// Warns about an internal service that nothing calls.
pub(super) fn reachable(cx: &Context<'_>, fallbacks: &Fallbacks, drafts: &[Draft]) {
    let called = drafts
        .iter()
        .flat_map(|draft| &draft.services)
        .chain(fallbacks.values().map(|stand_in| &stand_in.service));
    let called: BTreeSet<&str> = called.map(|name| name.value.as_str()).collect();
    for draft in drafts.iter().filter(|draft| draft.internal) {
        if !called.contains(draft.name.as_str()) {
            cx.warning(
                &draft.at,
                Problem::new(
                    format!("service {} is internal and nothing calls it", quoted(&draft.name)),
                    format!("add services = [\"{}\"] to a service, or remove it", draft.name),
                ),
            );
        }
    }
}

fn find_service<'d>(
    cx: &Context<'_>,
    wanted: &Located<String>,
    drafts: &'d [Draft],
) -> Option<&'d Draft> {
    let found = drafts.iter().find(|draft| draft.name == wanted.value);
    if found.is_none() {
        let similar = nearest(&wanted.value, drafts.iter().map(|draft| draft.name.as_str()));
        let hint = match similar {
            Some(similar) => format!("did you mean {}?", quoted(similar)),
            None => format!("add [service.{}]", wanted.value.escape_debug()),
        };
        let message = format!("there is no service {}", quoted(&wanted.value));
        cx.missing(&wanted.at, Problem::new(message, hint));
    }
    found
}
