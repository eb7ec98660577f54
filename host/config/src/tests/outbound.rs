//! `outbound`: which rules there are, what they allow, and what is said of those that are none.

use super::*;
use wasm_host_capabilities::outgoing::settings::Scheme;

#[test]
fn a_service_has_a_list_or_a_table_of_bounds() {
    let application = Application::new();
    let outbound = |lines: &str| {
        let text = format!("name = \"x\"\n[service.a]\ncomponent = \"ollama\"\n{lines}\n");
        let config = application.config(&text);
        config.services["a"].component().unwrap().outbound.clone()
    };
    assert!(outbound("").is_none());
    for lines in ["outbound = \"https://a.example\"", "outbound = [\"https://a.example\"]"] {
        let list = outbound(lines).unwrap();
        assert!(list.allow.has_name(Scheme::Https, "a.example", 443), "{lines}");
        assert_eq!(list.limits.concurrent, 64);
    }
    let table = outbound(
        "[service.a.outbound]\nallow = [\"https://a.example\"]\nidle-timeout = \"5s\"\n\
         max-body = \"1MiB\"\nbreaker-failures = 2",
    )
    .unwrap();
    assert!(table.allow.uses_tls());
    assert_eq!(
        (table.limits.idle_timeout, table.limits.max_body_bytes),
        (Duration::from_secs(5), 1 << 20)
    );
    assert_eq!(
        (table.limits.breaker.failures, table.limits.breaker.wait),
        (2, Duration::from_secs(1))
    );
}

#[test]
fn a_wrong_rule_is_told_at_its_own_line() {
    let told = Application::new().rejected(
        "name = \"x\"\n[service.a]\ncomponent = \"ollama\"\noutbound = [\n  \"https://a.example\",\n  \
         \"https://a.example/path\",\n]\n[service.b]\ncomponent = \"weather\"\noutbound = 7\n\
         [service.c]\ncomponent = \"demo-ollama\"\n[service.c.outbound]\nconcurrent = 3\nalow = []\n",
    );
    assert!(told.contains("wasm-host.toml:6:3: error: 'https://a.example/path'"), "{told}");
    assert!(told.contains("wasm-host.toml:10:12: error: 'outbound' is a whole number"), "{told}");
    assert!(told.contains("did you mean 'allow'?"), "{told}");
}
