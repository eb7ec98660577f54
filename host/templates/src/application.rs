//! The application file of a new application, and what a new service adds to one that is there.

use crate::{Service, language};

/// The name of the model server that new services are granted.
const OLLAMA: &str = "local";

/// The whole file of an application, without a service yet.
pub fn new(name: &str, port: u16) -> String {
    format!("name = \"{name}\"\n\n[http]\nlisten = \"127.0.0.1:{port}\"\n")
}

/// The value that new services are configured with.
const MOTTO: &str = "Small is beautiful";

/// What is written at the end of the file for a service. `ollama`: a model server that the file names already.
pub fn added(service: &Service<'_>, ollama: Option<&str>) -> String {
    let Service { name, language, route, with, .. } = service;
    let folder = language::folder(name);
    let mut text = String::new();
    if with.postgres {
        text.push_str(&format!(
            "\n# Without a url: a database of the host's own.\n[postgres.{name}]\ninit = [\"{folder}/init.sql\"]\n"
        ));
    }
    if with.ollama && ollama.is_none() {
        text.push_str(&format!("\n# Without a url: Ollama on this machine.\n[ollama.{OLLAMA}]\n"));
    }
    if with.keyvalue {
        text.push_str(&format!(
            "\n# Without a url: a file of the state folder.\n[keyvalue.{name}]\n"
        ));
    }
    let words = language.build(name);
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    text.push_str(&format!(
        "\n[service.{name}]\ncomponent = \"{}\"\nbuild = [{}]\nsource = \"{folder}\"\nroute = \"{route}\"\n",
        language.component(name),
        words.join(", ")
    ));
    if with.postgres {
        text.push_str(&format!("postgres = \"{name}\"\n"));
    }
    if with.ollama {
        text.push_str(&format!("ollama = \"{}\"\n", ollama.unwrap_or(OLLAMA)));
    }
    if with.keyvalue {
        text.push_str(&format!("keyvalue = \"{name}\"\n"));
    }
    if with.config {
        text.push_str(&format!("\n[service.{name}.config]\nmotto = \"{MOTTO}\"\n"));
    }
    text
}
