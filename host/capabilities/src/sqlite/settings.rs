//! `[sqlite.<name>]`: one table, read.

use toml::de::DeTable;

use wasm_host_limits::setting::Settings as _;
use wasm_host_limits::sqlite::SqliteLimits;
use wasm_host_settings::context::{Context, Span};
use wasm_host_settings::file::Table;
use wasm_host_settings::resource::{Resource, ResourcePlace, Wait};
use wasm_host_settings::secret::BackendUrl;

/// `[sqlite.<name>]`
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    pub limits: SqliteLimits,
}

impl SqliteConfig {
    pub(super) fn read<'t>(cx: &Context<'_>, name: &str, at: Span, table: &'t DeTable<'t>) -> Self {
        let keys = SqliteLimits::keys();
        let table = Table::open(cx, &format!("[sqlite.{name}]"), at, table, &keys);
        Self { limits: table.settings(cx) }
    }
}

impl Resource for SqliteConfig {
    fn url(&self) -> Option<&BackendUrl> {
        None
    }

    fn place(&self) -> ResourcePlace<'_> {
        ResourcePlace::StateFolder { instead: "use a database of [postgres]" }
    }

    fn first_byte(&self) -> Wait {
        let limits = &self.limits;
        let key = SqliteLimits::statement_timeout().key;
        Wait { key, bound: limits.statement_timeout, before: limits.acquire_timeout }
    }
}
