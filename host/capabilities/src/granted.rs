//! What one service is granted, capability by capability.

use std::any::Any;
use std::sync::Arc;

use super::Capability;

/// What a service is granted, by capability.
#[derive(Clone, Default)]
pub struct Granted(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    key: &'static str,
    grant: Arc<dyn Any + Send + Sync>,
}

impl Granted {
    /// Grant a capability. An earlier grant of it ends.
    #[must_use]
    pub fn with<C: Capability>(mut self, grant: C::Grant) -> Self {
        self.0.retain(|entry| entry.key != C::KEY);
        self.0.push(Entry { key: C::KEY, grant: Arc::new(grant) });
        self
    }

    /// The grant of a capability. None: it has none.
    pub fn of<C: Capability>(&self) -> Option<&C::Grant> {
        let entry = self.0.iter().find(|entry| entry.key == C::KEY)?;
        entry.grant.downcast_ref()
    }

    /// The keys of all that is granted.
    pub fn keys(&self) -> Vec<&'static str> {
        self.0.iter().map(|entry| entry.key).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::BoxFuture;
    use toml::de::DeTable;
    use wasmtime::component::Linker;

    use super::*;
    use crate::AnyCapability;
    use crate::backend::{Backend, Host};
    use crate::context::RequestContext;
    use crate::figures::Figure;
    use crate::function::{FunctionCall, Given, NoAnswer, Seam};
    use crate::instance::HasInstance;
    use wasm_host_settings::context::{Context, Span};
    use wasm_host_settings::resource::{Declared, Resource, ResourcePlace, Wait};
    use wasm_host_settings::secret::BackendUrl;

    #[derive(Debug)]
    struct Nothing;

    impl Resource for Nothing {
        fn url(&self) -> Option<&BackendUrl> {
            None
        }

        fn place(&self) -> ResourcePlace<'_> {
            ResourcePlace::Memory
        }

        fn first_byte(&self) -> Wait {
            Wait { key: "wait", bound: Duration::ZERO, before: Duration::ZERO }
        }
    }

    macro_rules! capability {
        ($name:ident, $key:literal, $with_seam:expr) => {
            struct $name;

            impl Capability for $name {
                const KEY: &'static str = $key;
                const PACKAGE: &'static str = "test:test";
                const INTERFACES: &'static [(&'static str, &'static [&'static str])] = &[];
                type Settings = Nothing;
                type Grant = u32;

                fn read<'t>(
                    _: &Context<'_>,
                    _: &str,
                    _: Span,
                    _: &'t DeTable<'t>,
                ) -> Declared<Nothing> {
                    Declared { resource: None, stand_in: None }
                }

                fn connect(_: &Nothing, _: &str, _: &dyn Host) -> anyhow::Result<Box<dyn Backend>> {
                    anyhow::bail!("there is nothing to connect")
                }

                fn link<T: HasInstance>(_: &mut Linker<T>) -> wasmtime::Result<()> {
                    Ok(())
                }

                fn figures(_: &str) -> Vec<Figure> {
                    Vec::new()
                }

                fn with_seam(_: Arc<dyn Seam>, backend: Option<u32>) -> Option<u32> {
                    $with_seam(backend)
                }
            }
        };
    }

    capability!(One, "one", |backend: Option<u32>| Some(backend.map_or(100, |grant| grant + 10)));
    capability!(Other, "other", |_| None);

    struct Blind;

    impl Seam for Blind {
        fn is_watching(&self, _: &RequestContext) -> bool {
            false
        }

        fn call<'a>(
            &'a self,
            _: FunctionCall,
            _: RequestContext,
            _: Option<BoxFuture<'a, Given>>,
        ) -> BoxFuture<'a, Result<Given, NoAnswer>> {
            Box::pin(async { Err(NoAnswer::Ended) })
        }
    }

    #[test]
    fn each_capability_has_its_own_grant_and_the_last_one_counts() {
        let granted = Granted::default().with::<One>(1).with::<One>(2);
        assert_eq!((granted.of::<One>(), granted.of::<Other>()), (Some(&2), None));
        assert_eq!(granted.keys(), ["one"]);
    }

    #[test]
    fn a_seam_stands_in_front_of_what_is_granted_or_in_place_of_what_is_not() {
        let seam: Arc<dyn Seam> = Arc::new(Blind);
        let all: [&dyn AnyCapability; 2] = [&One, &Other];
        let grants =
            |granted: Granted| (granted.of::<One>().copied(), granted.of::<Other>().copied());
        let watched = |granted: Granted| {
            grants(all.iter().fold(granted, |granted, one| one.watched(seam.clone(), granted)))
        };
        assert_eq!(watched(Granted::default()), (None, None));
        assert_eq!(
            watched(Granted::default().with::<One>(1).with::<Other>(2)),
            (Some(11), Some(2))
        );
        let scripted = |granted: Granted| {
            grants(all.iter().fold(granted, |granted, one| one.scripted(seam.clone(), granted)))
        };
        assert_eq!(scripted(Granted::default().with::<Other>(2)), (Some(100), Some(2)));
    }
}
