//! The SQLite capability: files of the state folder, for components that ask for SQLite as Spin's do.
//!
//! Its interfaces are Spin's (`crate::spin`). Here is what answers them: a bounded file, a guard over what statements may
//! do to the rest of the machine, and one trait that tests stand in for.

pub mod backend;

mod connection;
mod database;
mod guard;
mod memory;
mod seam;
mod seen;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::de::DeTable;
use wasmtime::component::Linker;

use crate::Capability;
use crate::backend::{Backend, Host};
use crate::figures::Figure;
use crate::function::Seam;
use crate::instance::HasInstance;
use backend::Database;
pub use memory::count_memory;
pub use settings::SqliteConfig;
use wasm_host_settings::context::{Context, Span};
use wasm_host_settings::resource::Declared;

#[cfg(test)]
mod tests;

/// SQLite databases of the host's own.
pub struct Sqlite;

/// What a service is granted of them.
#[derive(Clone, Default)]
pub struct Databases {
    by_name: BTreeMap<String, Arc<dyn Database>>,
    /// Of any name, for tests.
    any: Option<Arc<dyn Database>>,
}

impl Databases {
    /// One more, by the name of its table.
    #[must_use]
    pub fn with(mut self, name: &str, database: Arc<dyn Database>) -> Self {
        self.by_name.insert(name.to_owned(), database);
        self
    }

    /// One that answers to any name.
    pub fn any(database: Arc<dyn Database>) -> Self {
        Self { by_name: BTreeMap::new(), any: Some(database) }
    }

    /// The database of a name. `default` is also the only one that there is.
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Database>> {
        let only = || match self.by_name.len() {
            1 if name == DEFAULT => self.by_name.values().next(),
            _ => None,
        };
        self.any.as_ref().or_else(|| self.by_name.get(name)).or_else(only)
    }
}

/// What Spin's components open that name no database.
const DEFAULT: &str = "default";

impl Capability for Sqlite {
    const KEY: &'static str = "sqlite";
    const PACKAGE: &'static str = "spin:sqlite";
    const INTERFACES: &'static [(&'static str, &'static [&'static str])] = &[];
    const SEVERAL: bool = true;
    type Settings = SqliteConfig;
    type Grant = Databases;

    fn read<'t>(
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Declared<SqliteConfig> {
        Declared { resource: Some(SqliteConfig::read(cx, name, at, table)), stand_in: None }
    }

    fn connect(
        settings: &SqliteConfig,
        name: &str,
        host: &dyn Host,
    ) -> anyhow::Result<Box<dyn Backend>> {
        Ok(Box::new(database::File::new(name, host.state_dir(), settings.limits.clone())))
    }

    /// Spin's interfaces are linked apart from those of this host: for them, a grant is not asked for.
    fn link<T: HasInstance>(_: &mut Linker<T>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn figures(name: &str) -> Vec<Figure> {
        seen::figures(name)
    }

    fn with_seam(seam: Arc<dyn Seam>, backend: Option<Databases>) -> Option<Databases> {
        Some(match backend {
            None => Databases::any(Arc::new(seam::Seamed::scripted(seam))),
            Some(Databases { by_name, any }) => {
                let watched = |database| -> Arc<dyn Database> {
                    Arc::new(seam::Seamed::watched(seam.clone(), database))
                };
                let by_name = by_name.into_iter().map(|(name, it)| (name, watched(it))).collect();
                Databases { by_name, any: any.map(watched) }
            }
        })
    }
}
