//! `[replicas]`, and what is said when it is wrong.

use super::*;

fn application() -> Application {
    Application::new().with("PW", "S3CRET")
}

const SERVICE: &str = "[service.a]\ncomponent = \"weather\"\n";

#[test]
fn replicas_have_a_database_and_defaults() {
    let text = format!(
        "name = \"shop\"\n[replicas]\nurl = \"postgres://app:${{PW}}@db/decisions\"\n{SERVICE}"
    );
    let config = application().parse(&text).unwrap();
    let replicas = config.replicas.as_ref().unwrap();
    assert!(!replicas.fences);
    assert_eq!(replicas.limits.lease, Duration::from_secs(10));
    assert!(config.known_secrets().iter().any(|secret| secret.expose() == "S3CRET"));
    assert!(!format!("{config:?}").contains("S3CRET"));
    let alone = application().parse(&format!("name = \"shop\"\n{SERVICE}")).unwrap();
    assert!(alone.replicas.is_none());
}

#[test]
fn what_is_wrong_with_replicas() {
    let text = format!("name = \"shop\"\n[replicas]\nlost = \"fenced\"\nleas = \"5s\"\n{SERVICE}");
    let said = application().rejected(&text);
    assert_eq!(
        said,
        r#"wasm-host.toml:2:2: error: [replicas] has no 'url'; write url = "${REPLICAS_URL}", a Postgres database that no service is granted, or remove the table
wasm-host.toml:3:8: error: 'lost' cannot be 'fenced'; write "serve" (it serves on) or "fence" (it answers 503 until it is back)
wasm-host.toml:4:1: error: unknown key 'leas'; did you mean 'lease'?"#
    );
    let text = format!(
        "name = \"shop\"\n[replicas]\nurl = \"postgres://app:hunter2@db/x\"\nlease = \"1s\"\n{SERVICE}"
    );
    let said = application().rejected(&text);
    assert!(said.contains("a password stands in the file"), "{said}");
    assert!(said.contains("lease") && !said.contains("hunter2"), "{said}");
}

#[test]
fn replicas_do_not_swap_parts() {
    let text = format!(
        "name = \"shop\"\n[replicas]\nurl = \"postgres://app@db/x\"\n{SERVICE}middleware = [\"weather\"]\n"
    );
    let said = application().rejected(&text);
    assert_eq!(
        said,
        "wasm-host.toml:4:1: error: 'a' is put together of parts, which [replicas] cannot swap yet; put its parts \
         together beforehand (`wac plug`) and name the file as 'component', or remove [replicas]"
    );
}

/// One file is for a laptop and for a cluster.
#[test]
fn an_empty_address_means_one_host_whatever_else_is_there() {
    let text = format!(
        "name = \"shop\"\n[replicas]\nurl = \"${{REPLICAS_URL}}\"\nlost = \"fence\"\n{SERVICE}middleware = [\"weather\"]\n"
    );
    for empty in ["", " "] {
        let config = application().with("REPLICAS_URL", empty).parse(&text).unwrap();
        assert!(config.replicas.is_none() && config.is_alone);
    }
    // What is forgotten is not meant.
    let said = application().rejected(&text);
    assert!(said.contains("REPLICAS_URL"), "{said}");
    // What else is wrong with the table is told all the same.
    let wrong = text.replace("fence", "fenced");
    let said = application().with("REPLICAS_URL", "").rejected(&wrong);
    assert!(said.contains("'lost' cannot be 'fenced'"), "{said}");
}
