//! `wasi:config`: what the application file declares as the configuration of a service, in the versions that components
//! import.
//!
//! As an environment, it is there for each component, and empty unless something is declared; nothing has to be granted.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

/// The interface in each version, as components import it. They differ in their names alone.
const INTERFACES: [&str; 3] = [
    "wasi:config/store@0.2.0-rc.1",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/runtime@0.2.0-draft",
];

/// All values of a service by their keys. Values may be secret. Cheap to clone.
pub type Configuration = Arc<BTreeMap<String, String>>;

/// What the interface has for a source that fails. This one does not: all values are there from the start.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Failure {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

/// Link it in every version.
///
/// # Errors
/// The linker has it already.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&T) -> &Configuration,
) -> wasmtime::Result<()> {
    for name in INTERFACES {
        let mut interface = linker.instance(name)?;
        interface.func_wrap("get", move |store: StoreContextMut<'_, T>, (key,): (String,)| {
            let value = view(store.data()).get(&key).cloned();
            Ok((Ok::<Option<String>, Failure>(value),))
        })?;
        interface.func_wrap("get-all", move |store: StoreContextMut<'_, T>, (): ()| {
            let all = view(store.data()).iter();
            let all = all.map(|(key, value)| (key.clone(), value.clone())).collect();
            Ok((Ok::<Vec<(String, String)>, Failure>(all),))
        })?;
    }
    Ok(())
}
