//! What a server says to an init script, in the log beside the script's name.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::Level;

use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::journal::Journal;
use wasm_host_capabilities::postgres::notices::{Caller, on_behalf_of};
use wasm_host_limits::embedded_postgres as limits;
use wasm_host_log::SCRIPT;
use wasm_host_system::counted::counted;

/// Run a script, and log what the server says meanwhile.
pub(super) async fn heard<T>(script: &str, run: impl Future<Output = T>) -> T {
    let said = Arc::new(ScriptNotices { script: script.to_string(), lines: AtomicUsize::new(0) });
    let caller = Caller { journal: said.clone(), request: None };
    let ended = on_behalf_of(Some(caller), run).await;
    let left_out = said.lines.load(Ordering::Relaxed).saturating_sub(limits::INIT_NOTICES);
    if left_out > 0 {
        let lines = counted(left_out, "more line");
        tracing::warn!(script, "left out {lines} of what the database said");
    }
    ended
}

struct ScriptNotices {
    script: String,
    lines: AtomicUsize,
}

impl Journal for ScriptNotices {
    fn note(self: Arc<Self>, level: Level, _: Option<&RequestContext>, text: &str) {
        if self.lines.fetch_add(1, Ordering::Relaxed) >= limits::INIT_NOTICES {
            return;
        }
        let script = self.script.as_str();
        match level {
            Level::ERROR | Level::WARN => tracing::warn!(target: SCRIPT, script, "{text}"),
            _ => tracing::info!(target: SCRIPT, script, "{text}"),
        }
    }
}
