//! Names of attributes, as the semantic conventions of OpenTelemetry have them, and ours.

pub const HTTP_METHOD: &str = "http.request.method";
pub const HTTP_STATUS: &str = "http.response.status_code";
pub const HTTP_ROUTE: &str = "http.route";
pub const URL_PATH: &str = "url.path";
pub const SERVER_ADDRESS: &str = "server.address";
pub const SERVER_PORT: &str = "server.port";
pub const ERROR_TYPE: &str = "error.type";

pub const DB_SYSTEM: &str = "db.system.name";
pub const DB_NAMESPACE: &str = "db.namespace";
pub const DB_TEXT: &str = "db.query.text";
pub const DB_OPERATION: &str = "db.operation.name";
pub const DB_BATCH: &str = "db.operation.batch.size";
pub const DB_STATUS: &str = "db.response.status_code";
pub const DB_ROWS: &str = "db.response.returned_rows";
/// Not in the conventions: rows that a statement changed.
pub const DB_CHANGED: &str = "wasm_host.db.changed_rows";

pub const AI_OPERATION: &str = "gen_ai.operation.name";
pub const AI_PROVIDER: &str = "gen_ai.provider.name";
pub const AI_MODEL: &str = "gen_ai.request.model";
pub const AI_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub const AI_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Seconds.
pub const AI_FIRST: &str = "gen_ai.response.time_to_first_chunk";
pub const AI_INPUT: &str = "gen_ai.input.messages";
pub const AI_OUTPUT: &str = "gen_ai.output.messages";

/// The digest of the component that answered.
pub const VERSION: &str = "wasm_host.service.version";
/// What came of an attempt to put a version into service, or of its trial, and why it is no failure.
pub const SWAP_VERDICT: &str = "wasm_host.swap.verdict";
pub const SWAP_REASON: &str = "wasm_host.swap.reason";
/// Its client left before it had all of the answer.
pub const LEFT: &str = "wasm_host.client_left";
/// It was on trial.
pub const CANARY: &str = "wasm_host.canary";
/// Seconds of a processor that a request's guest took.
pub const GUEST_CPU: &str = "wasm_host.guest.cpu_time";
pub const REQUEST: &str = "wasm_host.request.id";
/// What a call from one service to another asks.
pub const PEER: &str = "service.peer.name";

/// How what others sent came in: `key` or `page`. The host's own has none.
pub const RECEIVED: &str = "wasm_host.received";
/// Begins all names of attributes that are the host's own.
pub const OWN: &str = "wasm_host.";
