//! Applications that ask a database: the services `reporter` and `querier`, which run what they are sent.

use crate::host::App;

/// A service in front of the database at `url`, with `keys` in the database's table, and a neighbour that has nothing
/// to do with it. A wait for a connection is short, unless the keys have one.
pub fn app(url: &str, keys: &str) -> App {
    let acquire = match keys.contains("acquire-timeout") {
        true => "",
        false => "acquire-timeout = \"2s\"",
    };
    App::new(&format!(
        r#"
name = "databases"

[postgres.any]
url = "{url}"
{acquire}
{keys}

[ollama.none]
url = "http://127.0.0.1:1"

[service.reporter]
component = "$(reporter)"
route = "/"
postgres = "any"
ollama = "none"

[service.good]
component = "$(hello-p3)"
"#
    ))
}

/// A service that tells the error of its statement in full.
pub fn querier(url: &str, keys: &str) -> App {
    App::new(&format!(
        r#"
name = "databases"

[postgres.any]
url = "{url}"
{keys}

[service.querier]
component = "$(querier)"
route = "/"
postgres = "any"
"#
    ))
}

/// The same in front of a database of the host's own.
pub fn own_querier() -> App {
    App::new(
        r#"
name = "databases"

[postgres.any]

[service.querier]
component = "$(querier)"
route = "/"
postgres = "any"
"#,
    )
}
