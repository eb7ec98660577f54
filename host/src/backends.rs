//! The backends that the application file names: connected once, shared by the services that are
//! granted them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;

use crate::capability::ollama::Server;
use crate::capability::postgres::Database;
use crate::config::Config;
use crate::service::registry::RegistryHandle;

/// All resources by their names in the application file.
#[derive(Default)]
pub struct Backends {
    pub postgres: BTreeMap<String, Arc<dyn Database>>,
    pub ollama: BTreeMap<String, Arc<dyn Server>>,
}

impl Backends {
    pub async fn start(_config: &Config, _registry: &RegistryHandle) -> Result<Self> {
        Ok(Self::default())
    }

    /// Backends that connect to nothing until they are used, for checking components.
    pub fn unconnected(_config: &Config, _registry: &RegistryHandle) -> Result<Self> {
        Ok(Self::default())
    }

    /// Close connections and stop what was started for the application.
    pub async fn stop(self) {}
}
