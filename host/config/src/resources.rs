//! What the application file declares for services to be granted: `[postgres.<name>]`, `[ollama.<name>]` and so on.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use wasm_host_capabilities::Capability;
use wasm_host_settings::resource::Resource;

/// All of them, by the key of the capability and by name.
#[derive(Clone, Debug, Default)]
pub struct Resources(BTreeMap<&'static str, BTreeMap<String, Arc<dyn Resource>>>);

impl Resources {
    pub(super) fn insert(&mut self, key: &'static str, name: &str, resource: Arc<dyn Resource>) {
        self.0.entry(key).or_default().insert(name.to_owned(), resource);
    }

    /// Key, name and settings of each.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str, &dyn Resource)> {
        self.0.iter().flat_map(|(key, resources)| {
            resources.iter().map(|(name, resource)| (*key, name.as_str(), &**resource))
        })
    }

    /// Those of one key, such as `postgres`.
    pub fn of_key(&self, key: &str) -> impl Iterator<Item = (&str, &dyn Resource)> {
        let resources = self.0.get(key).into_iter().flatten();
        resources.map(|(name, resource)| (name.as_str(), &**resource))
    }

    /// Those of one capability.
    pub fn of<C: Capability>(&self) -> impl Iterator<Item = (&str, &C::Settings)> {
        self.of_key(C::KEY).filter_map(|(name, resource)| {
            let resource: &dyn Any = resource;
            Some((name, resource.downcast_ref()?))
        })
    }

    pub fn find(&self, key: &str, name: &str) -> Option<&dyn Resource> {
        self.0.get(key)?.get(name).map(|resource| &**resource)
    }

    pub fn find_of<C: Capability>(&self, name: &str) -> Option<&C::Settings> {
        let resource: &dyn Any = self.find(C::KEY, name)?;
        resource.downcast_ref()
    }
}
