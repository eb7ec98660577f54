//! Files with several mistakes each, and word for word what is said about them.

use super::*;

pub(super) fn application() -> Application {
    Application::new().with("PW", "S3CRET").with("EMPTY", "")
}

#[track_caller]
pub(super) fn check(text: &str, expected: &str) {
    let rendered = application().rejected(text);
    assert_eq!(rendered, expected.trim_end(), "\n{rendered}");
    // Whatever goes wrong, an editor can jump to it, and no secret is shown.
    let lines = text.lines().count().max(1);
    for diagnostic in &application().parse(text).unwrap_err() {
        assert!((1..=lines).contains(&diagnostic.line), "{diagnostic}");
        assert!(diagnostic.column >= 1, "{diagnostic}");
    }
    for secret in ["hunter2", "S3CRET"] {
        assert!(!rendered.contains(secret), "{rendered}");
    }
}

#[test]
fn an_empty_file() {
    check(
        r##""##,
        r##"wasm-host.toml:1:1: error: the application has no name; begin the file with name = "my-app"
wasm-host.toml:1:1: error: no service is declared; add [service.<name>] with component = "<crate or .wasm file>" or static = "<folder>"
"##,
    );
}

#[test]
fn names_addresses_and_misspelled_keys() {
    check(
        r##"name = "My Shop"
nmae = "x"
[http]
listen = "8080"
port = 1
[admin]
listen = ":8081"
[state]
dir = 5
[services.a]
component = "wether"
rout = "weather/"
intenral = "yes"
"##,
        r##"wasm-host.toml:1:8: error: 'My Shop' cannot be the name of an application; use only a-z, 0-9 and '-', as in 'my-shop'
wasm-host.toml:2:1: error: unknown key 'nmae'; did you mean 'name'?
wasm-host.toml:4:10: error: '8080' is not an address; did you mean '127.0.0.1:8080'?
wasm-host.toml:5:1: error: unknown key 'port'; [http] may have: listen, hosts, tls, connections, connections-per-client, keep-alive, handshake-timeout, header-timeout, max-header, max-headers, body-idle, write-idle, streams, drain, trusted-proxies
wasm-host.toml:7:10: error: ':8081' is not an address; did you mean '127.0.0.1:8081' (this machine only) or '0.0.0.0:8081' (everywhere)?
wasm-host.toml:9:7: error: 'dir' is a whole number; it must be a string
wasm-host.toml:10:2: error: unknown key 'services'; did you mean 'service'?
wasm-host.toml:11:13: error: there is no crate 'components/wether'; did you mean 'weather'?
wasm-host.toml:12:1: error: unknown key 'rout'; did you mean 'route'?
wasm-host.toml:12:8: error: route 'weather/' ends with '/'; write '/weather', which covers everything below it
wasm-host.toml:13:1: error: unknown key 'intenral'; did you mean 'internal'?
wasm-host.toml:13:12: error: 'internal' is a string; it must be true or false
"##,
    );
}

#[test]
fn slips_of_notation_beside_slips_of_meaning() {
    check(
        r##"name = shop
[http]
listen = 127.0.0.1:8080
[service.a]
component = "weather
route = "/x/"
route = "/y"
"##,
        r##"wasm-host.toml:1:8: error: a value is missing or needs quotes; write key = "value"
wasm-host.toml:3:15: error: not a valid number; what is not a number needs quotes
wasm-host.toml:5:21: error: a string that is not valid; does it end with '"'?
wasm-host.toml:6:9: error: route '/x/' ends with '/'; write '/x', which covers everything below it
wasm-host.toml:7:1: error: 'route' stands here for the second time; keep one of them
"##,
    );
}

#[test]
fn lines_that_cannot_be_read_are_left_out() {
    check(
        r##"[service.a]
component = "weather"
routes
[service.b
route = "x"
component = 7
[service.c]
compnent = "ollama"
fallbak
"##,
        r##"wasm-host.toml:3:7: error: a key without a value; write key = "value"
wasm-host.toml:4:11: error: a table header that is not closed; end it with ']'
wasm-host.toml:8:1: error: unknown key 'compnent'; did you mean 'component'?
wasm-host.toml:9:8: error: a key without a value; write key = "value"
"##,
    );
}

#[test]
fn behind_an_open_list_nothing_is_guessed() {
    check(
        r##"name = "Shop"
[service.a]
services = ["b", "c"
component = 7
[service.b]
rout = "/b"
"##,
        r##"wasm-host.toml:1:8: error: 'Shop' cannot be the name of an application; use only a-z, 0-9 and '-', as in 'shop'
wasm-host.toml:4:1: error: a list that is not closed, or a missing comma; end it with ']'
"##,
    );
}

#[test]
fn passwords_in_the_file_and_bounds_of_a_database() {
    check(
        r##"name = "shop"
[postgres.weather]
url = "postgres://app:hunter2@db/weather"
init = ["components/weather/sql/int.sql", 5]
pool = 0
acquire_timeout = 5
statement-timeout = "30"
[postgres.other]
url = "Host=db;Username=app;Password=hunter2;Database=x"
[postgres.Fourth]
url = "${NOPE}${file:/does/not/exist}"
"##,
        r##"wasm-host.toml:1:1: error: no service is declared; add [service.<name>] with component = "<crate or .wasm file>" or static = "<folder>"
wasm-host.toml:3:7: error: a password stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:4:9: error: the SQL file 'components/weather/sql/int.sql' does not exist; did you mean 'components/weather/sql/init.sql'?
wasm-host.toml:4:43: error: 'init' is a whole number; it must be a string
wasm-host.toml:5:8: error: 'pool' is too small; the minimum is 1
wasm-host.toml:6:1: error: unknown key 'acquire_timeout'; did you mean 'acquire-timeout'?
wasm-host.toml:6:19: error: 'acquire-timeout' is a whole number; it must be a duration such as "30s"
wasm-host.toml:7:21: error: '30' is not a duration; write a whole number with a unit, as in "250ms", "30s", "5m" or "1h"
wasm-host.toml:9:7: error: a password stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:10:11: error: 'Fourth' cannot be a name; a name starts with a letter and has only a-z, 0-9 and '-', at most 63 of them
wasm-host.toml:11:7: error: the environment variable NOPE is not set; set it before the start (export NOPE=...), or read a file with ${file:/path}
wasm-host.toml:11:7: error: cannot read the secret file '/does/not/exist': it does not exist; create it, or correct the path
"##,
    );
}

#[test]
fn addresses_of_databases() {
    check(
        r##"name = "shop"
[postgres.a]
url = "postgres://db"
[postgres.b]
url = "mysql://db/x"
[postgres.c]
url = "postgres://app:${PW}@db:port/x"
[postgres.d]
url = "db.example.com"
[postgres.e]
url = "Host=db;Pasword=${PW};Database=x"
[postgres.f]
url = "Host=db;Username=app"
[postgres.g]
url = "postgres://app:12/34@db/x"
[postgres.h]
url = "postgres://db/x?password=hunter2"
[postgres.i]
url = "${EMPTY}"
[postgres.j]
url = "postgres://db/x"
[postgres.k]
url = "Host=db;Database=x"
[postgres.l]
url = "Host=db;Username=app;Port=70000;Database=x"
[postgres.m]
url = "postgres://app@db/x?sslmode=on"
[postgres.n]
url = "postgres://app@db/x?connect_timeout=5"
[postgres.o]
url = "postgres://%zz:${PW}@db/x"
[postgres.p]
url = "Host=db;Username='app;Database=x"
"##,
        r##"wasm-host.toml:1:1: error: no service is declared; add [service.<name>] with component = "<crate or .wasm file>" or static = "<folder>"
wasm-host.toml:3:7: error: the address names no database; end it with /<database>
wasm-host.toml:5:7: error: the address does not start with postgres:// or postgresql://; write postgres://user:${PASSWORD}@host:5432/database
wasm-host.toml:7:7: error: the address is not a valid URI (invalid port number); write postgres://user:${PASSWORD}@host:5432/database; special characters in the password are percent-encoded
wasm-host.toml:9:7: error: the address is neither a URI nor a list of settings; write postgres://user:${PASSWORD}@host:5432/database, or Host=..;Port=..;Username=..;Password=${PASSWORD};Database=.., or host=.. port=.. user=.. password=${PASSWORD} dbname=..
wasm-host.toml:11:7: error: the address has the setting 'Pasword', which is not known; known are Host, Port, Username, Password, Database and SSL Mode, and those of libpq that change nothing here; a value with a ';' goes in double quotes
wasm-host.toml:13:7: error: the address has no Database; add Database=..;
wasm-host.toml:15:7: error: the address has a '#', '/' or '@' where none can be; in a user name or password write %23 for '#', %2F for '/' and %40 for '@', or use Host=..;Username=..;Password=..;Database=..
wasm-host.toml:17:7: error: a password stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:19:7: error: the address is empty; write one, or remove 'url' to have a database started for you
wasm-host.toml:21:7: error: the address names no user; write it before the host, as in postgres://user:${PASSWORD}@host/database
wasm-host.toml:23:7: error: the address has no Username; add Username=..;
wasm-host.toml:25:7: error: the port of the address is not a number from 0 to 65535; the port of Postgres is 5432 unless its server says otherwise
wasm-host.toml:27:7: error: the address has an SSL mode that is not known; known are disable, allow, prefer, require, verify-ca, verify-full
wasm-host.toml:29:7: error: the address has the setting 'connect_timeout', which is a key of the file; remove it, and write connect-timeout = .. beside url
wasm-host.toml:31:7: error: the address has a '%' that encodes nothing; write %25 for a '%' of its own
wasm-host.toml:33:7: error: a value of the address begins with a quote and does not end with it; end it with the same quote, and write a quote within it twice
"##,
    );
}

#[test]
fn addresses_of_databases_in_the_words_of_libpq() {
    check(
        r##"name = "shop"
[postgres.a]
url = "host=db user=app password=hunter2 dbname=x"
[postgres.b]
url = "host=db user=app password = 'hun ter2' dbname=x"
[postgres.c]
url = "host=db user=app"
[postgres.d]
url = "host=db user=app password='${PW} dbname=x"
[postgres.e]
url = "host=db user=app dbname=x sslcert=/x"
[postgres.f]
url = "postgres://app@db/x?options=-csearch_path%3Dx"
[postgres.g]
url = "postgres://app@db/x?gssencmode=require"
[postgres.h]
url = "host=db user=app dbname=x sslrootcert=ca.pem"
[postgres.i]
url = "Host=db;Username=app;Database=x;Maximum Pool Size=20"
[postgres.j]
url = "host=db, user=app"
"##,
        r##"wasm-host.toml:1:1: error: no service is declared; add [service.<name>] with component = "<crate or .wasm file>" or static = "<folder>"
wasm-host.toml:3:7: error: a password stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:5:7: error: a password stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:7:7: error: the address has no dbname; add dbname=..
wasm-host.toml:9:7: error: a value of the address begins with a quote and does not end with it; end it with a quote, and write \' for a quote within it
wasm-host.toml:11:7: error: the address has the setting 'sslcert', which is not known; known are Host, Port, Username, Password, Database and SSL Mode, and those of libpq that change nothing here; a value with a ';' goes in double quotes
wasm-host.toml:13:7: error: the address has the setting 'options', which is not known; known are Host, Port, Username, Password, Database and SSL Mode, and those of libpq that change nothing here; a value with a ';' goes in double quotes
wasm-host.toml:15:7: error: the address asks for an encryption or encoding that the host does not have; remove the setting; of its values disable, prefer are taken
wasm-host.toml:17:7: error: the address has the setting 'sslrootcert', which is a key of the file; remove it, and write ca = .. beside url
wasm-host.toml:19:7: error: the address has the setting 'Maximum Pool Size', which is a key of the file; remove it, and write pool = .. beside url
wasm-host.toml:21:7: error: the address has no dbname; add dbname=..
"##,
    );
}

#[test]
fn ollama_its_rules_and_its_stand_ins() {
    check(
        r##"name = "shop"
[ollama.local]
url = "http://me:hunter2@h"
fallback = "react"
forward = ["get /api/*", "/a*b", "PUSH /x", "api"]
first-byte-timeout = "0s"
concurrent = 500000
[ollama.remote]
url = "ftp://x"
fallback = "demo"
[ollama.loop]
fallback = "demo-ollama"
[service.react]
static = "web/dits"
memory = "5MiB"
route = "/"
[service.demo-ollama]
component = "demo-ollama"
internal = true
route = "/d"
ollama = "loop"
[service.other]
component = "ollama"
ollama = "lokal"
postgres = "weather"
services = ["demo-olama", "nobody"]
"##,
        r##"wasm-host.toml:3:7: error: a password or token stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:4:12: error: fallback 'react' serves static files; name a service with a component that answers as Ollama does
wasm-host.toml:5:12: error: 'get /api/*' is not a rule for forwarding; its method must be GET
wasm-host.toml:5:26: error: '/a*b' is not a rule for forwarding; write "/path" or "METHOD /path"; a '*' may stand at the end only
wasm-host.toml:5:34: error: 'PUSH /x' is not a rule for forwarding; its method must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS
wasm-host.toml:5:45: error: 'api' is not a rule for forwarding; write "/path" or "METHOD /path"; a '*' may stand at the end only
wasm-host.toml:6:22: error: 'first-byte-timeout' is too small; the minimum is 1ms
wasm-host.toml:7:14: error: 'concurrent' is too large; the maximum is 65536
wasm-host.toml:8:1: warning: no service uses [ollama.remote]; add ollama = "remote" to a service, or remove it
wasm-host.toml:9:7: error: the address does not start with http:// or https://; write http://host:11434
wasm-host.toml:10:12: error: there is no service 'demo'; did you mean 'demo-ollama'?
wasm-host.toml:12:12: error: service 'demo-ollama' stands in for [ollama.loop] and uses it (line 21): it would call itself; remove its 'ollama', or name another fallback
wasm-host.toml:14:10: error: the folder 'web/dits' does not exist; did you mean 'web/dist'?
wasm-host.toml:15:1: error: 'memory' means nothing for a service of static files; remove it; it is for components
wasm-host.toml:20:1: error: service 'demo-ollama' is internal and has a route; remove 'route', or remove 'internal' to let clients reach it
wasm-host.toml:24:10: error: there is no [ollama.lokal]; did you mean 'local'? otherwise add [ollama.lokal]
wasm-host.toml:25:12: error: there is no [postgres.weather]; add [postgres.weather]
wasm-host.toml:26:13: error: there is no service 'demo-olama'; did you mean 'demo-ollama'?
wasm-host.toml:26:27: error: there is no service 'nobody'; add [service.nobody]
"##,
    );
}

#[test]
fn routes_sizes_and_sources() {
    check(
        r##"name = "shop"
[service.one]
component = "weather"
route = "/%77eather"
memory = "256MB"
max-body = -1
concurrent = "many"
reuse = 1.5
[service.two]
component = "guests/othr.wasm"
route = "/weather"
queue = 99999999999999999999
drain = "2 days"
[service.three]
component = "components/weather"
static = "web/dist"
route = "/a/../b"
[service.four]
route = "/a b?x"
[service.five]
component = "ghcr.io/x/y"
health = "health"
[[service.six]]
"##,
        r##"wasm-host.toml:5:10: error: '256MB' is not a size; did you mean '256MiB'?
wasm-host.toml:6:12: error: 'max-body' is too small; the minimum is 0
wasm-host.toml:7:14: error: 'concurrent' is a string; it must be a whole number
wasm-host.toml:8:9: error: 'reuse' is a number with a fraction; it must be a whole number
wasm-host.toml:10:13: error: the component 'guests/othr.wasm' does not exist; did you mean 'guests/other.wasm'?
wasm-host.toml:11:9: error: services 'one' (line 4) and 'two' have the same route '/weather'; change 'route' of one of them
wasm-host.toml:12:9: error: 'queue' is too large; the maximum is 1048576
wasm-host.toml:13:9: error: '2 days' is not a duration; write a whole number with a unit, as in "250ms", "30s", "5m" or "1h"
wasm-host.toml:16:1: error: service 'three' has both 'component' and 'static'; keep one of them, and make a second service for the other
wasm-host.toml:17:9: error: route '/a/../b' has a part '.' or '..'; browsers resolve those before they ask; write the path that is meant
wasm-host.toml:18:1: error: service 'four' has neither 'component' nor 'static'; add component = "<crate or .wasm file>" or static = "<folder>"
wasm-host.toml:19:9: error: route '/a b?x' has a '?' or '#'; only the path of a request is compared; remove the rest
wasm-host.toml:21:13: error: 'ghcr.io/x/y' is no component; write the name of a crate under components/, the path of a .wasm file, or oci://HOST/REPOSITORY:TAG
wasm-host.toml:22:10: error: path 'health' does not start with '/'; did you mean '/health'?
wasm-host.toml:23:1: error: 'six' is a list; it must be a table, as in [service.<name>]
"##,
    );
}

#[test]
fn environments() {
    check(
        r##"name = "shop"
[service.a]
component = "weather"
route = "/${PW}"
environment = { A = 1, "B=" = "x", services__b = "x", C = "$HOME", D = "${a-b}", E = "${X" }
[service.b]
component = "weather"
environment = { DATABASE_URL = "postgres://app:hunter2@${PW}/x", ADO = "Host=a;Password=hunter2" }
[service.c]
component = "weather"
environment = 5
services = [1, "a"]
"##,
        r##"wasm-host.toml:4:9: error: '${...}' is not replaced in 'route'; it works in 'url' and in 'environment'; write the value itself here
wasm-host.toml:5:21: error: 'A' is a whole number; it must be a string
wasm-host.toml:5:24: error: 'B=' cannot be the name of a variable; use letters, digits and '_'
wasm-host.toml:5:36: error: 'services__b' is set by the host; name the service in 'services' instead
wasm-host.toml:5:59: error: a single '$'; write ${NAME} for a variable, or $$ for a dollar sign
wasm-host.toml:5:72: error: what stands between '${' and '}' is not the name of a variable; a name has letters, digits and '_' only, as in ${API_TOKEN}
wasm-host.toml:5:86: error: '${' without a closing '}'; write ${NAME}
wasm-host.toml:8:32: error: a password stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:8:72: error: a password stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:11:15: error: 'environment' is a whole number; it must be a table, as in { NAME = "value" }
wasm-host.toml:12:13: error: 'services' is a whole number; it must be a string
"##,
    );
}

#[test]
fn names_and_addresses_that_are_taken() {
    check(
        r##"name = "shop"
[http]
listen = "localhost:8080"
[admin]
listen = "127.0.0.1:8080"
[service]
weather = "weather"
[service.localhost]
component = "weather"
[service.a-name-that-is-much-too-long-for-a-label-of-a-host-name-because-it-never-ends]
component = 7
"##,
        r##"wasm-host.toml:5:10: error: [http] and [admin] both listen on 127.0.0.1:8080; give [admin] another port, as in listen = "127.0.0.1:8081"
wasm-host.toml:7:11: error: 'weather' is a string; it must be a table, as in [service.<name>]
wasm-host.toml:8:10: error: 'localhost' cannot be a name; 'localhost' always means this machine; choose another name
wasm-host.toml:10:10: error: 'a-name-that-is-much-too-long-for-a-label-of-a-host-name-beca...' cannot be a name; a name starts with a letter and has only a-z, 0-9 and '-', at most 63 of them
wasm-host.toml:11:13: error: 'component' is a whole number; it must be a string
"##,
    );
}

#[test]
fn no_service() {
    check(
        r##"name = "shop"
[admin]
listen = "0.0.0.0:8080"
[service]
"##,
        r##"wasm-host.toml:3:10: error: [http] and [admin] both listen on 0.0.0.0:8080; give [admin] another port, as in listen = "127.0.0.1:8081"
wasm-host.toml:3:10: warning: other machines can reach [admin], and its token goes to it in clear; listen on 127.0.0.1
wasm-host.toml:4:2: error: no service is declared; add [service.<name>] with component = "<crate or .wasm file>" or static = "<folder>"
"##,
    );
}

#[test]
fn files_where_they_mean_nothing() {
    check(
        r##"name = "shop"
[service.web]
static = "web/dist"
internal = true
environment = { A = "b" }
instances = 5
frobnicate = 1
"##,
        r##"wasm-host.toml:2:1: warning: service 'web' is internal and nothing calls it; add services = ["web"] to a service, or remove it
wasm-host.toml:4:1: error: 'internal' means nothing for a service of static files; remove it; it is for components
wasm-host.toml:5:1: error: 'environment' means nothing for a service of static files; remove it; it is for components
wasm-host.toml:6:1: error: 'instances' means nothing for a service of static files; remove it; it is for components
wasm-host.toml:7:1: error: unknown key 'frobnicate'; [service.web] may have: component, middleware, with, static, route, keep-path, internal, cors, postgres, ollama, keyvalue, sqlite, services, outbound, environment, config, health, build, source, concurrent, queue, queue-timeout, first-byte-timeout, timeout, stream-idle-timeout, cpu-timeout, drain, max-body, memory, memory-total, log-lines, log-lines-per-request, instances, per-instance, reuse, idle, warm
"##,
    );
}

#[test]
fn more_warm_instances_than_there_may_be() {
    check(
        r##"name = "shop"
[service.a]
component = "weather"
instances = 2
warm = 3
[service.b]
component = "ollama"
warm = 65
[service.c]
component = "demo-ollama"
warm = 64
"##,
        r##"wasm-host.toml:5:1: error: 'warm' is 3 but there may be only 2 'instances'; raise 'instances', or lower 'warm'
wasm-host.toml:8:1: error: 'warm' is 65 but there may be only 64 'instances'; raise 'instances', or lower 'warm'
"##,
    );
}
