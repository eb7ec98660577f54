//! `spin:variables` and `fermyon:spin/variables` on the configuration of the service.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use super::bindings::variables2;
use super::bindings::variables3::Error;
use crate::instance::HasInstance;

pub(super) fn link_3<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use wasmtime::AsContextMut as _;
    let mut instance = linker.instance("spin:variables/variables@3.0.0")?;
    instance.func_wrap_concurrent("get", |accessor, (name,): (String,)| {
        Box::pin(async move {
            Ok((accessor.with(|mut access| get(&mut access.as_context_mut(), name)),))
        })
    })
}

pub(super) fn link_2<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("fermyon:spin/variables@2.0.0")?;
    instance.func_wrap("get", |mut store, (name,): (String,)| {
        Ok((get(&mut store, name).map_err(variables2::Error::from),))
    })
}

fn get<T: HasInstance>(store: &mut StoreContextMut<'_, T>, name: String) -> Result<String, Error> {
    if !is_name(&name) {
        return Err(Error::InvalidName(format!(
            "{name:?} is no name of a variable: it begins with a letter, and has a-z, 0-9 and _"
        )));
    }
    let found = store.data_mut().instance().configuration.get(&name).cloned();
    found.ok_or_else(|| Error::Undefined(format!("{name} is not in `config` of the service")))
}

/// As Spin has it.
fn is_name(name: &str) -> bool {
    let is_part = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(is_part)
}

impl From<Error> for variables2::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidName(why) => Self::InvalidName(why),
            Error::Undefined(why) => Self::Undefined(why),
            Error::Provider(why) => Self::Provider(why),
            Error::Other(why) => Self::Other(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spins() {
        for name in ["a", "api_key", "a1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "A", "1a", "a-b", "_a", "a.b"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
