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
    let text = format!("name = \"shop\"\n[replicas]\nurl = \"${{NONE}}\"\n{SERVICE}");
    assert_eq!(
        application().with("NONE", "").rejected(&text),
        "wasm-host.toml:3:7: error: the address of [replicas] is empty; write the address of a Postgres \
         database, or remove the table where there is one host"
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
