//! What one service is granted: for each capability, what stands behind it.

use std::any::Any;

use super::Capability;

/// What a service is granted, by capability.
#[derive(Default)]
pub struct Granted(Vec<Grant>);

struct Grant {
    key: &'static str,
    backend: Box<dyn Any + Send + Sync>,
}

impl Granted {
    /// Grant a capability. What was granted of it before is so no longer.
    #[must_use]
    pub fn with<C: Capability>(mut self, backend: C::Backend) -> Self {
        self.0.retain(|grant| grant.key != C::KEY);
        self.0.push(Grant { key: C::KEY, backend: Box::new(backend) });
        self
    }

    /// What stands behind a capability. None: it is not granted.
    pub fn of<C: Capability>(&self) -> Option<&C::Backend> {
        let grant = self.0.iter().find(|grant| grant.key == C::KEY)?;
        grant.backend.downcast_ref()
    }

    /// The keys of all that is granted.
    pub fn keys(&self) -> Vec<&'static str> {
        self.0.iter().map(|grant| grant.key).collect()
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Linker;

    use toml::de::DeTable;

    use super::*;
    use crate::capability::backend::{Backend, Host};
    use crate::capability::instance::HasInstance;
    use crate::capability::ollama::OllamaConfig;
    use crate::settings::context::{Context, Span};
    use crate::settings::resource::Declared;

    macro_rules! capability {
        ($name:ident, $key:literal) => {
            struct $name;

            impl Capability for $name {
                const KEY: &'static str = $key;
                const PACKAGE: &'static str = "test:test";
                type Settings = OllamaConfig;
                type Backend = u32;

                fn read<'t>(
                    _: &Context<'_>,
                    _: &str,
                    _: Span,
                    _: &'t DeTable<'t>,
                ) -> Declared<OllamaConfig> {
                    Declared { resource: None, stand_in: None }
                }

                fn connect(
                    _: &OllamaConfig,
                    _: &str,
                    _: &dyn Host,
                ) -> anyhow::Result<Box<dyn Backend>> {
                    anyhow::bail!("there is nothing to connect")
                }

                fn link<T: HasInstance>(_: &mut Linker<T>) -> wasmtime::Result<()> {
                    Ok(())
                }
            }
        };
    }

    capability!(One, "one");
    capability!(Other, "other");

    #[test]
    fn each_capability_has_its_own_grant_and_the_last_one_counts() {
        let granted = Granted::default().with::<One>(1).with::<One>(2);
        assert_eq!((granted.of::<One>(), granted.of::<Other>()), (Some(&2), None));
        assert_eq!(granted.keys(), ["one"]);
    }
}
