//! SQLite databases, and routes that stay in the path.

use super::broken::check;

#[test]
fn sqlite_its_bounds_and_paths_that_are_kept() {
    check(
        r##"name = "shop"
[sqlite.notes]
size = "1KiB"
statement-timeout = "48h"
connections = 0
file = "notes.db"
[sqlite.spare]
[service.web]
static = "web/dist"
route = "/"
keep-path = true
[service.other]
component = "ollama"
internal = true
keep-path = true
sqlite = "notess"
"##,
        r##"wasm-host.toml:3:8: error: 'size' is too small; the minimum is 1MiB
wasm-host.toml:4:21: error: 'statement-timeout' is too large; the maximum is 24h
wasm-host.toml:5:15: error: 'connections' is too small; the minimum is 1
wasm-host.toml:6:1: error: unknown key 'file'; [sqlite.notes] may have: size, statement-timeout, connections, acquire-timeout
wasm-host.toml:7:1: warning: no service uses [sqlite.spare]; add sqlite = "spare" to a service, or remove it
wasm-host.toml:11:1: error: 'keep-path' means nothing for a service of static files; remove it; it is for components
wasm-host.toml:12:1: warning: service 'other' is internal and nothing calls it; add services = ["other"] to a service, or remove it
wasm-host.toml:15:1: error: service 'other' is internal and has 'keep-path'; remove it: other services name no route, and nothing is taken off their paths
wasm-host.toml:16:10: error: there is no [sqlite.notess]; did you mean 'notes'? otherwise add [sqlite.notess]
"##,
    );
}
