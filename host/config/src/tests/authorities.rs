//! `ca`: which files hold authorities, and where they mean something.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::*;

/// An application with a self-signed certificate, its key, and what is neither.
fn application() -> Application {
    let application = Application::new().with("DB", "postgres://u@h/d");
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["h".to_owned()]).unwrap();
    let pem = cert.pem();
    let damaged = pem.replace("-----END", "-----EMD");
    // A certificate of this form, with nothing in it.
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    for (name, text) in [
        ("ca.pem", format!("A comment.\n{pem}{pem}")),
        ("damaged.pem", damaged),
        ("empty.pem", empty),
        ("key.pem", signing_key.serialize_pem()),
    ] {
        fs::write(application.path(name), text).unwrap();
    }
    application
}

#[test]
fn every_table_of_connections_has_its_own() {
    let config = application().config(
        r#"
name = "shop"
[replicas]
url = "${DB}"
ca = "ca.pem"
[postgres.main]
url = "${DB}"
ca = "ca.pem"
[ollama.gpu]
url = "https://gpu"
ca = "ca.pem"
[service.a]
component = "weather"
postgres = "main"
[service.b]
component = "ollama"
ollama = "gpu"
[service.b.outbound]
allow = "https://api.example.com"
ca = "ca.pem"
"#,
    );
    assert_eq!(warnings(&config), "");
    assert!(config.replicas.as_ref().unwrap().ca.is_some());
    assert!(database(&config, "main").ca.is_some() && models(&config, "gpu").ca.is_some());
    let outbound = config.services["b"].component().unwrap().outbound.clone().unwrap();
    assert_eq!(format!("{:?}", outbound.ca), "Some(Authorities(2))");
    assert!(config.services["a"].component().unwrap().outbound.is_none());
}

#[test]
fn a_file_that_names_no_authority_is_told_with_its_line() {
    for (file, expected) in [
        ("ca.pen", "cannot read the PEM file"),
        ("damaged.pem", "the PEM file is damaged"),
        ("empty.pem", "a certificate in the PEM file cannot be read"),
        ("key.pem", "there is no certificate in the PEM file"),
    ] {
        let told = application().rejected(&format!(
            "name = \"shop\"\n[ollama.gpu]\nurl = \"https://gpu\"\nca = \"{file}\"\n\
             [service.a]\ncomponent = \"ollama\"\nollama = \"gpu\"\n"
        ));
        assert!(told.starts_with("wasm-host.toml:4:6: error: "), "{told}");
        assert!(told.contains(expected) && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn one_that_would_mean_nothing_is_told() {
    let told = |url: &str| {
        application().rejected(&format!(
            "name = \"shop\"\n[postgres.main]\nca = \"ca.pem\"\n{url}\n\
             [service.a]\ncomponent = \"weather\"\npostgres = \"main\"\n"
        ))
    };
    assert_eq!(
        told(""),
        "wasm-host.toml:3:1: error: 'ca' means nothing for a database of the host's own; remove it, or add the \
         url of a server"
    );
    assert_eq!(
        told("url = \"Host=h;Username=u;Database=d;SSL Mode=Require\""),
        "wasm-host.toml:3:1: error: 'ca' means nothing with the SSL mode require, which takes any server; remove \
         the mode: with 'ca' it is verify-full"
    );
    let socket = told("url = \"Host=/run/postgresql;Username=u;Database=d\"");
    assert!(socket.contains("'ca' means nothing for a socket of this machine"), "{socket}");
    for mode in ["", "?sslmode=verify-ca", "?sslmode=verify-full"] {
        application().config(&format!(
            "name = \"shop\"\n[postgres.main]\nca = \"ca.pem\"\nurl = \"postgres://u@h/d{mode}\"\n\
             [service.a]\ncomponent = \"weather\"\npostgres = \"main\"\n"
        ));
    }
    let config = application().config(
        "name = \"shop\"\n[service.a]\ncomponent = \"weather\"\n[service.a.outbound]\n\
         allow = \"http://api.example.com\"\nca = \"ca.pem\"\n",
    );
    assert_eq!(
        warnings(&config),
        "wasm-host.toml:6:1: warning: 'ca' means nothing without a host of https://; begin a rule with https://, \
         or remove 'ca'"
    );
}
