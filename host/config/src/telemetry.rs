//! `[telemetry]`: what is seen of requests, and what is kept of it.
//!
//! It must not know what becomes of it.

use super::TelemetryConfig;
use wasm_host_limits::setting::Settings as _;
use wasm_host_limits::telemetry::TelemetryLimits;
use wasm_host_settings::context::Context;
use wasm_host_settings::file::Table;

pub(super) fn telemetry(cx: &Context<'_>, root: &Table<'_>) -> TelemetryConfig {
    let keys = [&["enabled", "capture-messages"], &TelemetryLimits::keys()[..]].concat();
    let table = root.section(cx, "telemetry", &keys);
    TelemetryConfig {
        is_enabled: table.flag(cx, "enabled").unwrap_or(true),
        captures_messages: table.flag(cx, "capture-messages").unwrap_or(false),
        limits: table.settings(cx),
    }
}
