//! What a component may reach: its imports against the grants of its service.
//!
//! WASI is always there, but empty: no files, no sockets, no arguments, only the declared
//! environment and configuration, outgoing HTTP only to granted services. Everything else is linked only when the
//! component imports it and the application file grants it. A component that wants more is refused before it runs, with
//! the line that would grant it. Interfaces of Spin are linked when they are imported: without their grant, calls are
//! refused.

mod missing;

use std::fmt;
use std::sync::{Arc, OnceLock};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre as P2Pre;
use wasmtime_wasi_http::p3::bindings::ServicePre as P3Pre;

use crate::Engine;
use crate::compile::Code;
use crate::compose::{Part, importers};
use crate::output;
use crate::state::{Grants, StoreData};
pub use missing::Missing;
pub use wasm_host_capabilities::spin::Standing;
use wasm_host_capabilities::{
    self as capability, AnyCapability, Linkable, configuration, header_sets, outgoing, spin,
};

/// A capability as the engine has it.
type KnownCapability = &'static dyn Linkable<StoreData>;

/// The capability behind an import such as `wasm-host:postgres/client@0.1.0`.
fn capability_of(import: &str) -> Option<KnownCapability> {
    let (package, _) = import.split_once('/')?;
    // Of Spin's there is more than what answers it, and it is linked apart.
    if package.starts_with("spin:") {
        return None;
    }
    capability::linkable::<StoreData>()
        .into_iter()
        .find(|capability| capability.package() == package)
}

/// Why a component cannot be a service.
#[derive(Debug)]
pub enum Refusal {
    /// It imports a capability that its service is not granted. `by`: which of its parts do; none: it has no parts.
    NotGranted { import: String, capability: &'static dyn AnyCapability, by: Vec<String> },
    /// It imports what this host does not have, each with what there is instead.
    Missing(Vec<Missing>),
    /// It does not answer HTTP.
    NoHandler { exports: Vec<String> },
    /// Anything else that the linker says.
    Incompatible { reason: String },
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted { import, capability, by } => {
                let imports = importing(by);
                write!(formatter, "{imports} {import}, and nothing grants it {}", capability.key())
            }
            Self::Missing(missing) => {
                let all: Vec<_> = missing.iter().map(Missing::to_string).collect();
                formatter.write_str(&all.join("; "))
            }
            Self::NoHandler { exports } => {
                let exports = match exports.as_slice() {
                    [] => "nothing".to_string(),
                    some => some.join(", "),
                };
                write!(
                    formatter,
                    "it exports {exports}; a service exports wasi:http/handler@0.3 or wasi:http/incoming-handler@0.2"
                )
            }
            Self::Incompatible { reason } => write!(formatter, "{reason}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// The same with the parts that are the reason.
    pub fn of_parts(mut self, parts: &[Part]) -> Self {
        match &mut self {
            Self::NotGranted { import, by, .. } => *by = importers(parts, import),
            Self::Missing(missing) => {
                for missing in missing {
                    missing.by = importers(parts, &missing.import);
                }
            }
            Self::NoHandler { .. } | Self::Incompatible { .. } => {}
        }
        self
    }
}

/// As in `it imports`, or `a.wasm and b.wasm import`.
fn importing(by: &[String]) -> String {
    match by {
        [] => "it imports".to_owned(),
        [one] => format!("{one} imports"),
        [some @ .., last] => format!("{} and {last} import", some.join(", ")),
    }
}

/// The interfaces that a component imports. Where it could be a middleware and is none, the types of the handler are not
/// among them: toolchains import the types of what a component exports.
pub fn imports(engine: &Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let imports = ty.imports(engine.wasmtime());
    let imports = imports.filter(|(name, item)| !is_vain(engine, name, &item.ty));
    imports.map(|(name, _)| name.to_string()).collect()
}

/// Whether it is a handler of which nothing is called: types alone, those that it has from elsewhere among them.
fn is_vain(engine: &Engine, name: &str, item: &ComponentItem) -> bool {
    let is_type =
        |item: &ComponentItem| matches!(item, ComponentItem::Type(_) | ComponentItem::Resource(_));
    let ComponentItem::ComponentInstance(instance) = item else { return false };
    is_handler(name) && instance.exports(engine.wasmtime()).all(|(_, item)| is_type(&item.ty))
}

/// Whether it is more than types that need no implementation.
fn asks(engine: &Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            let mut exports = instance.exports(engine.wasmtime());
            exports.any(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)))
        }
        ComponentItem::Type(_) => false,
        _ => true,
    }
}

/// The interfaces that a component exports.
pub fn exports(engine: &Engine, component: &Component) -> Vec<String> {
    component
        .component_type()
        .exports(engine.wasmtime())
        .map(|(name, _)| name.to_string())
        .collect()
}

/// The capabilities that a component must be granted, each with the first import that needs it.
pub fn needs(imports: &[String]) -> Vec<(KnownCapability, String)> {
    let mut needs: Vec<(KnownCapability, String)> = Vec::new();
    for import in imports {
        if let Some(capability) = capability_of(import)
            && !needs.iter().any(|(known, _)| known.key() == capability.key())
        {
            needs.push((capability, import.clone()));
        }
    }
    needs
}

/// The same without what a component of Spin's may go without: calls of that are refused.
pub fn required(imports: &[String]) -> Vec<(KnownCapability, String)> {
    let is_spins = spin::is_spins(imports.iter().map(String::as_str));
    let mut needs = needs(imports);
    needs.retain(|(_, import)| !(is_spins && spin::standing(import).is_some()));
    needs
}

/// The imports that a component waits in as a whole: it serves one request at a time.
pub fn blocking(engine: &Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let imports = ty.imports(engine.wasmtime());
    let blocking = imports
        .filter(|(name, item)| blocks(name) || spin::blocks(engine.wasmtime(), name, &item.ty));
    blocking.map(|(name, _)| name.to_string()).collect()
}

/// Whether an import is an interface of a capability that has no `async func`.
fn blocks(import: &str) -> bool {
    let interface = import.split_once('/').map_or("", |(_, interface)| interface);
    let name = interface.split('@').next().unwrap_or_default();
    capability_of(import).is_some_and(|capability| capability.blocking().contains(&name))
}

/// Check a component's imports against the keys of what is granted, without linking anything.
pub fn check(imports: &[String], granted: &[&str]) -> Result<(), Refusal> {
    for (capability, import) in required(imports) {
        if !granted.contains(&capability.key()) {
            return Err(Refusal::NotGranted { import, capability, by: Vec::new() });
        }
    }
    Ok(())
}

/// What this host does with the imports of a component that only Spin's components have. Empty for all others.
pub fn of_spin(imports: &[String]) -> Vec<(String, Standing)> {
    if !spin::is_spins(imports.iter().map(String::as_str)) {
        return Vec::new();
    }
    let standing = |import: &String| Some((import.clone(), spin::standing(import)?));
    imports.iter().filter_map(standing).collect()
}

/// Whether an export is what makes a component a service.
pub fn is_handler(export: &str) -> bool {
    is_shared_handler(export)
        || export
            .strip_prefix("wasi:http/incoming-handler@")
            .is_some_and(|version| missing::fits(version, "0.2"))
}

/// Whether an export is the handler of a guest that serves several requests at once.
fn is_shared_handler(export: &str) -> bool {
    let version = export.strip_prefix("wasi:http/handler@");
    version.is_some_and(|version| missing::fits(version, "0.3"))
}

/// What this host cannot give a component, whatever its service is granted. Looks at nothing but its imports.
pub fn missing(engine: &Engine, component: &Component) -> wasmtime::Result<Vec<Missing>> {
    match linker(engine, component)?.instantiate_pre(component) {
        Ok(_) => Ok(Vec::new()),
        Err(error) => explain(engine, component, &error).ok_or(error),
    }
}

/// What a component's imports are linked to, once it is: with output that is told apart by requests, and without.
#[derive(Default)]
pub(crate) struct Links {
    apart: OnceLock<Arc<ProxyPre<StoreData>>>,
    together: OnceLock<Arc<ProxyPre<StoreData>>>,
}

/// Link a component to what its service is granted. What it is linked to is the same for all services that run it.
///
/// # Errors
/// It is granted less than it imports, or can be no service at all.
pub fn link(
    engine: &Engine,
    code: &Code,
    grants: &Grants,
) -> Result<Arc<ProxyPre<StoreData>>, Refusal> {
    let environment = grants.instance_environment.as_ref();
    let takes_apart = !environment.is_some_and(|all| all.has_output());
    let place = if takes_apart { &code.links.apart } else { &code.links.together };
    if let Some(linked) = place.get() {
        check(&imports(engine, code), &grants.granted.keys())?;
        return Ok(linked.clone());
    }
    let linked = Arc::new(link_anew(engine, code, grants, takes_apart)?);
    Ok(place.get_or_init(|| linked).clone())
}

fn link_anew(
    engine: &Engine,
    component: &Component,
    grants: &Grants,
    takes_apart: bool,
) -> Result<ProxyPre<StoreData>, Refusal> {
    let incompatible =
        |error: wasmtime::Error| Refusal::Incompatible { reason: format!("{error:#}") };
    let mut linker = linker(engine, component).map_err(incompatible)?;
    // A guest of 0.2 serves one request at a time, and all that it prints is that one's.
    if takes_apart && exports(engine, component).iter().any(|name| is_shared_handler(name)) {
        output::add_to_linker(&mut linker).map_err(incompatible)?;
    }
    let pre = linker.instantiate_pre(component).map_err(|error| {
        explain(engine, component, &error).map_or_else(|| incompatible(error), Refusal::Missing)
    })?;
    check(&imports(engine, component), &grants.granted.keys())?;
    if let Ok(pre) = P3Pre::new(pre.clone()) {
        Ok(ProxyPre::P3(pre))
    } else if let Ok(pre) = P2Pre::new(pre) {
        Ok(ProxyPre::P2(pre))
    } else {
        Err(Refusal::NoHandler { exports: exports(engine, component) })
    }
}

/// All that this host has for a component, as if everything were granted.
fn linker(engine: &Engine, component: &Component) -> wasmtime::Result<Linker<StoreData>> {
    let mut linker = Linker::new(engine.wasmtime());
    add_wasi(&mut linker)?;
    for (capability, _) in needs(&imports(engine, component)) {
        capability.link(&mut linker)?;
    }
    spin::add_to_linker(&mut linker, engine.wasmtime(), &component.component_type())?;
    Ok(linker)
}

/// Why the linker said no; `None` if it is not about an import.
fn explain(
    engine: &Engine,
    component: &Component,
    error: &wasmtime::Error,
) -> Option<Vec<Missing>> {
    let ty = component.component_type();
    let asked = ty
        .imports(engine.wasmtime())
        .filter(|(name, item)| asks(engine, &item.ty) && !is_vain(engine, name, &item.ty));
    let asked: Vec<String> = asked.map(|(name, _)| name.to_string()).collect();
    let is_spins = spin::is_spins(asked.iter().map(String::as_str));
    let is_linked = |import: &&String| is_spins && spin::standing(import).is_some();
    let by_name = missing::by_name(asked.iter().filter(|import| !is_linked(import)));
    if by_name.is_empty() {
        return missing::by_type(&asked, error).map(|missing| vec![missing]);
    }
    Some(by_name)
}

/// WASI 0.2 and 0.3 together: a guest of 0.3 whose standard library is built for 0.2 imports both.
fn add_wasi(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::bindings::http::types::add_to_linker::<
        StoreData,
        wasmtime_wasi_http::WasiHttp,
    >(linker, wasmtime_wasi_http::WasiHttpView::http)?;
    header_sets::add_to_linker(linker, StoreData::tally)?;
    outgoing::add_to_linker(linker, StoreData::outgoing)?;
    configuration::add_to_linker(linker, StoreData::configuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(imports: &[&str]) -> Vec<String> {
        imports.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn imports_that_hold_an_instance_are_known_by_name() {
        let imports = strings(&[
            "wasi:io/poll@0.2.6",
            "wasm-host:postgres/blocking@0.1.0",
            "wasm-host:postgres/types@0.1.0",
            "wasm-host:ollama/inference@0.1.0",
            "acme:coyote/blocking@1.0.0",
            "blocking",
        ]);
        let blocking: Vec<_> = imports.iter().filter(|import| blocks(import)).collect();
        assert_eq!(blocking, ["wasm-host:postgres/blocking@0.1.0"]);
    }

    #[test]
    fn an_ungranted_import_is_refused_by_name() {
        let imports = strings(&["wasi:io/poll@0.2.6", "wasm-host:postgres/client@0.1.0"]);
        assert!(check(&imports, &["postgres"]).is_ok());
        let refusal = check(&imports, &["ollama"]).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "it imports wasm-host:postgres/client@0.1.0, and nothing grants it postgres"
        );
    }

    #[test]
    fn each_needed_capability_is_named_once() {
        let imports = strings(&[
            "wasm-host:ollama/models@0.1.0",
            "wasm-host:ollama/proxy@0.1.0",
            "wasi:http/types@0.3.0",
        ]);
        let needs = needs(&imports).into_iter();
        let needs: Vec<_> = needs.map(|(capability, import)| (capability.key(), import)).collect();
        assert_eq!(needs, [("ollama", "wasm-host:ollama/models@0.1.0".to_string())]);
    }
}
