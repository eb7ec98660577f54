//! `[watch]`: what `serve --watch` runs when sources change.
//!
//! It exists to turn one table into one command. It must not know which files are watched.

use std::collections::BTreeMap;

use super::{ComponentSource, ServiceConfig, WatchConfig, command};
use wasm_host_limits::host::WatchLimits;
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::context::Context;
use wasm_host_settings::diagnostic::Problem;
use wasm_host_settings::file::Table;

/// Builds the crates under components/ of this repository and of those made like it.
const DEFAULT_BUILD: [&str; 3] = ["cargo", "xtask", "guests"];

const EXAMPLE: &str = "write it as a list of words, as in [\"cargo\", \"xtask\", \"guests\"]";

pub(super) fn watch(cx: &Context<'_>, root: &Table<'_>) -> WatchConfig {
    let table = root.section(cx, "watch", &[&["build"], &WatchLimits::keys()[..]].concat());
    let build = table.texts(cx, "build");
    if let Some(words) = &build {
        command::check(cx, &table, words, EXAMPLE);
    }
    WatchConfig {
        build: build.map(|words| words.into_iter().map(|word| word.value).collect()),
        build_timeout: table.settings::<WatchLimits>(cx).build_timeout,
    }
}

/// Without a command of the file's, crates are built by the usual one.
pub(super) fn with_default(
    cx: &Context<'_>,
    root: &Table<'_>,
    watch: WatchConfig,
    services: &BTreeMap<String, ServiceConfig>,
) -> WatchConfig {
    let mut components = services.values().filter_map(ServiceConfig::component);
    let is_crate = |source: &ComponentSource| matches!(source, ComponentSource::Crate(_));
    let has_crate = components.any(|component| component.sources().any(is_crate));
    if watch.build.is_some() && !has_crate {
        cx.warning(
            &root.at("watch"),
            Problem::new(
                "'build' is never run: no service has a crate under components/",
                "name one as a 'component', or remove it; .wasm files are watched without it",
            ),
        );
    }
    let default = || has_crate.then(|| DEFAULT_BUILD.map(str::to_owned).to_vec());
    WatchConfig { build: watch.build.or_else(default), ..watch }
}
