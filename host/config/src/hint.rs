//! The line that would grant a capability.
//!
//! It exists for the engine, which learns only from a component what it imports, and must then name
//! the fix in the application file. It must not know why a grant is missing.

use super::Config;

/// What to add to the application file so that `service` gets `capability`, which is the key of one, or
/// `"services"`. Continues a sentence such as "nothing grants it; ".
pub fn grant_hint(service: &str, capability: &str, config: &Config) -> String {
    let names: Vec<&str> = match capability {
        "services" => {
            config.services.keys().map(String::as_str).filter(|name| *name != service).collect()
        }
        key => config.resources.of_key(key).map(|(name, _)| name).collect(),
    };
    let (example, others) = match names.split_first() {
        Some((first, rest)) => (*first, rest),
        None => ("<name>", names.as_slice()),
    };
    let mut hint = if capability == "services" {
        format!("add services = [\"{example}\"] under [service.{service}]")
    } else {
        format!("add {capability} = \"{example}\" under [service.{service}]")
    };
    let line = config.services.get(service).map_or(0, |service| service.line);
    match &config.file {
        Some(file) if line > 0 => hint.push_str(&format!(" ({file}:{line})")),
        _ => hint.push_str(" of an application file (wasm-host.toml)"),
    }
    if !others.is_empty() {
        hint.push_str(&format!("; there is also {}", others.join(", ")));
    }
    if names.is_empty() {
        let kind = if capability == "services" { "service" } else { capability };
        hint.push_str(&format!(", and add [{kind}.<name>]"));
    }
    hint
}
