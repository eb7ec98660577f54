//! How long a service waits, where something that it waits for has a bound of its own.
//!
//! It exists because of two bounds, one inside the other, the shorter one counts, and a user who sets the longer one
//! does not see why it never has an effect. By default a service waits as long as each of its resources may take, and
//! so does a service that calls it; a shorter time in the file stays, and is reported. It must not know where anything
//! is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::service::Draft;
use super::{ComponentConfig, Resources, ServiceConfig, ServiceKind, ServiceLimits};
use wasm_host_limits::SERVICE_HAND_ON;
use wasm_host_limits::setting::Setting;
use wasm_host_settings::context::{Context, Span};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::resource::{Resource, Wait};
use wasm_host_settings::value::show_duration;

/// Where a service says how long it waits.
pub(super) struct Written {
    pub(super) first_byte: Option<Span>,
    pub(super) timeout: Option<Span>,
    pub(super) stream_idle: Option<Span>,
}

/// One of the waits of a service that others lie in.
struct Outer {
    setting: Setting<Duration>,
    written: fn(&Written) -> Option<&Span>,
    value: fn(&mut ServiceLimits) -> &mut Duration,
    /// What a component may wait for meanwhile.
    inner: fn(&ComponentConfig, &Resources) -> Vec<Inner>,
}

/// What may take long.
#[derive(Clone)]
struct Inner {
    /// Its own bound, as the file has it.
    bound: Duration,
    /// With what comes before it and after it.
    whole: Duration,
    /// As it is shown.
    of: String,
}

const OUTER: [Outer; 2] = [
    Outer {
        setting: ServiceLimits::first_byte_timeout(),
        written: |written| written.first_byte.as_ref(),
        value: |limits| &mut limits.first_byte_timeout,
        inner: |component, resources| {
            let granted = granted(component, resources)
                .map(|(resource, name)| of_backend(resource.first_byte(), &name));
            let computing =
                inner(component.limits.cpu_timeout, Duration::ZERO, "its 'cpu-timeout'".into());
            granted.chain(outside(component)).chain([computing]).collect()
        },
    },
    Outer {
        setting: ServiceLimits::stream_idle_timeout(),
        written: |written| written.stream_idle.as_ref(),
        value: |limits| &mut limits.stream_idle_timeout,
        // Servers other than Ollama begin their answer at once, and are then silent.
        inner: |component, resources| {
            let granted = granted(component, resources);
            granted
                .filter_map(|(resource, name)| Some(of_backend(resource.pause()?, &name)))
                .collect()
        },
    },
];

/// Raise the defaults that are shorter than what they wait for, and report what the file makes shorter.
pub(super) fn settle(cx: &Context<'_>, drafts: &mut [Draft], resources: &Resources) {
    for outer in &OUTER {
        let longest = with_calls(outer, drafts, own(outer, drafts, resources));
        for draft in &mut *drafts {
            if let Some(inner) = longest.get(&draft.name) {
                apply(cx, outer, draft, inner);
            }
        }
    }
}

/// For each service, what it may wait for longest, if that is longer than a service waits by default.
fn own(outer: &Outer, drafts: &[Draft], resources: &Resources) -> BTreeMap<String, Inner> {
    let mut longest = BTreeMap::new();
    for draft in drafts {
        let component = draft.config.as_ref().and_then(ServiceConfig::component);
        let waits = component.map(|component| (outer.inner)(component, resources));
        let wait = waits.into_iter().flatten().max_by_key(|inner| inner.whole);
        let wait = wait.filter(|inner| inner.whole > outer.setting.default);
        longest.extend(wait.map(|wait| (draft.name.clone(), wait)));
    }
    longest
}

/// The same with what services wait for that they call.
fn with_calls(
    outer: &Outer,
    drafts: &[Draft],
    mut longest: BTreeMap<String, Inner>,
) -> BTreeMap<String, Inner> {
    // A service with a time of its own takes no longer, whatever it waits for.
    let times = drafts.iter().filter_map(|draft| {
        (outer.written)(&draft.written)?;
        let mut limits = draft.config.as_ref()?.component()?.limits.clone();
        let time = *(outer.value)(&mut limits);
        let of = format!("'{}' of [service.{}]", outer.setting.key, draft.name);
        Some((draft.name.as_str(), Inner { bound: time, whole: time, of }))
    });
    let times: BTreeMap<&str, Inner> = times.collect();
    // Each round goes one call further, and no way without a circle has more calls than there are services.
    for _ in drafts {
        for draft in drafts {
            let called = draft.services.iter().filter_map(|callee| {
                let wait = times.get(callee.value.as_str()).or(longest.get(&callee.value))?;
                (wait.whole > outer.setting.default).then_some(wait)
            });
            let wait = called.chain(longest.get(&draft.name)).max_by_key(|inner| inner.whole);
            if let Some(wait) = wait.cloned() {
                longest.insert(draft.name.clone(), wait);
            }
        }
    }
    longest
}

fn apply(cx: &Context<'_>, outer: &Outer, draft: &mut Draft, inner: &Inner) {
    let Draft { config: Some(config), name, written, .. } = draft else { return };
    let ServiceKind::Component(component) = &mut config.kind else { return };
    let limits = &mut component.limits;
    let total = (outer.setting.key == "first-byte-timeout").then_some(limits.timeout);
    let default = inner.whole.min(outer.setting.max);
    cx.set_default(&format!("service.{name}"), outer.setting.key, &show_duration(default));
    let value = (outer.value)(limits);
    match (outer.written)(written) {
        Some(at) => warn(cx, name, outer.setting.key, at, *value, inner),
        None => *value = default,
    }
    if let (Some(total), Some(at)) = (total, &written.timeout) {
        warn(cx, name, "timeout", at, total, inner);
    }
}

fn warn(cx: &Context<'_>, name: &str, key: &str, at: &Span, value: Duration, inner: &Inner) {
    let Inner { bound, of, .. } = inner;
    // Zero is for ever.
    if value.is_zero() || value >= *bound {
        return;
    }
    let (value, bound) = (show_duration(value), show_duration(*bound));
    let name = quoted(name);
    let message = format!(
        "'{key}' of service {name} is {value}, but what it waits for may take {bound} by {of}: {value} is what counts"
    );
    let hint = format!("remove '{key}' or raise it, or lower the other");
    cx.warning(at, Problem::new(message, hint));
}

// === What a component waits for ===

fn inner(bound: Duration, before: Duration, of: String) -> Inner {
    Inner { bound, whole: before + bound + SERVICE_HAND_ON, of }
}

/// The resources that a component is granted, each with the name of its table.
fn granted<'a>(
    component: &'a ComponentConfig,
    resources: &'a Resources,
) -> impl Iterator<Item = (&'a dyn Resource, String)> {
    component
        .grants
        .resources
        .iter()
        .filter_map(|(key, name)| Some((resources.find(key, name)?, format!("[{key}.{name}]"))))
}

fn of_backend(wait: Wait, table: &str) -> Inner {
    inner(wait.bound, wait.before, format!("'{}' of {table}", wait.key))
}

fn outside(component: &ComponentConfig) -> Option<Inner> {
    let limits = &component.outbound.as_ref()?.limits;
    let of = "'first-byte-timeout' of its 'outbound'".to_owned();
    Some(inner(limits.first_byte_timeout, limits.connect_timeout, of))
}
