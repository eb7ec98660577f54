//! What is measured of requests and of what is done for them. Names are those of the semantic conventions.

use crate::attributes;
use crate::metrics::{Instrument, Kind, SECONDS, TOKENS};

/// What the conventions want said of each figure of an instrument, and is the same for all of them.
pub fn constants(instrument: &Instrument) -> &'static [(&'static str, &'static str)] {
    match instrument.name.starts_with("gen_ai.client.") {
        true => &[(attributes::AI_PROVIDER, "ollama")],
        false => &[],
    }
}

pub static SERVER_DURATION: Instrument = Instrument {
    name: "http.server.request.duration",
    unit: "s",
    description: "Time from a request to the end of its answer",
    kind: SECONDS,
    labels: &[
        "service",
        "wasm_host.service.version",
        "http.route",
        "http.request.method",
        "http.response.status_code",
        "url.scheme",
    ],
};

pub static CLIENT_DURATION: Instrument = Instrument {
    name: "http.client.request.duration",
    unit: "s",
    description: "Time from a component's own request to the head of its answer",
    kind: SECONDS,
    labels: &[
        "service",
        "server.address",
        "http.request.method",
        "http.response.status_code",
        "server.port",
    ],
};

pub static DATABASE_DURATION: Instrument = Instrument {
    name: "db.client.operation.duration",
    unit: "s",
    description: "Time of a statement, until its last row was read, or of a call of a bucket",
    kind: SECONDS,
    labels: &[
        "service",
        "db.system.name",
        "db.namespace",
        "db.operation.name",
        "error.type",
        "server.address",
        "server.port",
    ],
};

pub static MODEL_DURATION: Instrument = Instrument {
    name: "gen_ai.client.operation.duration",
    unit: "s",
    description: "Time of a call of a model, until its last token",
    kind: SECONDS,
    labels: &["service", "gen_ai.operation.name", "gen_ai.request.model", "error.type"],
};

pub static MODEL_FIRST: Instrument = Instrument {
    name: "gen_ai.client.operation.time_to_first_chunk",
    unit: "s",
    description: "Time until the first token of a call of a model",
    kind: SECONDS,
    labels: &["service", "gen_ai.operation.name", "gen_ai.request.model"],
};

pub static MODEL_TOKENS: Instrument = Instrument {
    name: "gen_ai.client.token.usage",
    unit: "{token}",
    description: "Tokens of a call of a model",
    kind: TOKENS,
    labels: &["service", "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.token.type"],
};

pub static ACTIVE: Instrument = Instrument {
    name: "http.server.active_requests",
    unit: "{request}",
    description: "Requests that are being served, bodies included",
    kind: Kind::Gauge,
    labels: &["service"],
};

pub static QUEUED: Instrument = Instrument {
    name: "wasm_host.requests.queued",
    unit: "{request}",
    description: "Requests that wait for a place in their service",
    kind: Kind::Gauge,
    labels: &["service"],
};

pub static ENDED: Instrument = Instrument {
    name: "wasm_host.requests.ended",
    unit: "{request}",
    description: "Requests by how they ended: served, failed, cut off after their answer began, refused by the host, or left by their client",
    kind: Kind::Counter,
    labels: &["service", "how"],
};

pub static INSTANCES: Instrument = Instrument {
    name: "wasm_host.instances",
    unit: "{instance}",
    description: "Instances that are alive, of all versions of a service",
    kind: Kind::Gauge,
    labels: &["service"],
};

pub static SERVICE_MEMORY: Instrument = Instrument {
    name: "wasm_host.memory",
    unit: "By",
    description: "What instances of a service have, and what the host holds for them",
    kind: Kind::Gauge,
    labels: &["service"],
};

pub static SERVICE_CPU: Instrument = Instrument {
    name: "wasm_host.cpu.time",
    unit: "s",
    description: "Processor time of the instances of a service",
    kind: Kind::Counter,
    labels: &["service"],
};

pub static BACKEND_CALLS: Instrument = Instrument {
    name: "wasm_host.backend.calls",
    unit: "{call}",
    description: "Calls, streams and transactions that run on a backend",
    kind: Kind::Gauge,
    labels: &["backend"],
};

pub static BACKEND_IDLE: Instrument = Instrument {
    name: "wasm_host.backend.idle",
    unit: "{connection}",
    description: "Connections to a backend that are open and that no call uses",
    kind: Kind::Gauge,
    labels: &["backend"],
};

pub static BACKEND_WAITING: Instrument = Instrument {
    name: "wasm_host.backend.waiting",
    unit: "{call}",
    description: "Calls that wait for a connection to a backend, or for their turn",
    kind: Kind::Gauge,
    labels: &["backend"],
};

pub static BACKEND_MOST: Instrument = Instrument {
    name: "wasm_host.backend.most",
    unit: "{call}",
    description: "Calls or connections that a backend may have at once",
    kind: Kind::Gauge,
    labels: &["backend"],
};

pub static BACKEND_UP: Instrument = Instrument {
    name: "wasm_host.backend.up",
    unit: "{backend}",
    description: "Whether a backend answered when it was last asked for the dashboard",
    kind: Kind::Gauge,
    labels: &["backend"],
};

pub static BREAKER_OPEN: Instrument = Instrument {
    name: "wasm_host.breaker.open",
    unit: "{breaker}",
    description: "Whether calls of a backend fail at once, as it could not be reached",
    kind: Kind::Gauge,
    labels: &["backend"],
};

pub static BREAKER_OPENINGS: Instrument = Instrument {
    name: "wasm_host.breaker.openings",
    unit: "{opening}",
    description: "How often calls of a backend began to fail at once",
    kind: Kind::Counter,
    labels: &["backend"],
};

pub static MEMORY: Instrument = Instrument {
    name: "process.memory.usage",
    unit: "By",
    description: "Physical memory of the host, guests included",
    kind: Kind::Gauge,
    labels: &[],
};

pub static UPTIME: Instrument = Instrument {
    name: "process.uptime",
    unit: "s",
    description: "Time since the host began to serve",
    kind: Kind::Gauge,
    labels: &[],
};

pub static SWAPS: Instrument = Instrument {
    name: "wasm_host.swaps",
    unit: "{swap}",
    description: "Attempts to put a version into service, by their verdict",
    kind: Kind::Counter,
    labels: &["service", "verdict"],
};

pub static LEFT_OUT: Instrument = Instrument {
    name: "wasm_host.traces.left_out",
    unit: "{trace}",
    description: "Traces that failed or were slow and were not kept, as there were too many in a second",
    kind: Kind::Counter,
    labels: &[],
};

pub static EXPORT_SENT: Instrument = Instrument {
    name: "wasm_host.telemetry.export.sent",
    unit: "{item}",
    description: "Spans, lines and points of figures that a collector elsewhere has taken",
    kind: Kind::Counter,
    labels: &["signal"],
};

pub static EXPORT_DROPPED: Instrument = Instrument {
    name: "wasm_host.telemetry.export.dropped",
    unit: "{item}",
    description: "Spans, lines and points of figures that were not sent because a collector was away, too slow, or refused them",
    kind: Kind::Counter,
    labels: &["signal"],
};

pub static INTAKE_TAKEN: Instrument = Instrument {
    name: "wasm_host.telemetry.intake.taken",
    unit: "{item}",
    description: "Spans and lines of the log that others sent and that were taken",
    kind: Kind::Counter,
    labels: &["from", "signal"],
};

pub static INTAKE_REFUSED: Instrument = Instrument {
    name: "wasm_host.telemetry.intake.refused",
    unit: "{item}",
    description: "Spans, lines of the log and points of figures that others sent and that were left out; a request that cannot be read, or for which there was no room, counts as one",
    kind: Kind::Counter,
    labels: &["from", "signal"],
};
