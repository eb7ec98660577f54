//! What is in the way of a container, told at once and with its fix.

use super::*;
use crate::plan::{Egress, To};

#[test]
fn everything_that_cannot_be_carried_over_is_told_at_once() {
    let application = Application::new();
    let outside = tempfile::tempdir().unwrap();
    for name in ["a.wasm", "x.sql", "ca.pem"] {
        fs::copy(
            application.path().join(if name == "x.sql" { "sql/more.sql" } else { name }),
            outside.path().join(name),
        )
        .unwrap();
    }
    let outside = outside.path().display();
    fs::write(application.path().join("sql/binary.sql"), [0xff, 0xfe]).unwrap();
    let text = format!(
        r#"name = "shop"
[postgres.a]
url = "postgresql://a:${{PW}}@localhost/a"
[postgres.b]
url = "postgresql://b:${{PW}}@[::1]/b"
[postgres.c]
init = ["{outside}/x.sql", "sql/binary.sql"]
[ollama.d]
url = "http://127.0.0.1:11434"
[service.one]
component = "{outside}/a.wasm"
environment = {{ X = "${{POSTGRES_C_PASSWORD}}" }}
[service.two]
static = "web/../../{}/web"
route = "/"
[service.three-]
component = "a.wasm"
[service.three-.outbound]
allow = "https://a.example"
ca = "{outside}/ca.pem"
"#,
        application.path().file_name().unwrap().to_str().unwrap()
    );
    let told = application.read(&text).unwrap_err();
    let expected = [
        "[service.three-]: 'three-' cannot be a name in a cluster; write a-z, 0-9 and '-'",
        "the url of [postgres.a] is on this machine, and in a container that is the container itself; name a host",
        "the url of [postgres.b] is on this machine",
        "the url of [ollama.d] is on this machine",
        "the password of [postgres.c] is to be ${POSTGRES_C_PASSWORD}, which the file has already",
        "'component' of [service.one], /",
        "'static' of [service.two], web/../../",
        "'init' of [postgres.c], /",
        "cannot read 'init' of [postgres.c], sql/binary.sql: ",
        "'ca' of [service.three-.outbound], /",
    ];
    for expected in expected {
        assert!(told.contains(expected), "{expected} is not in:\n{told}");
    }
    assert_eq!(told.lines().count(), expected.len(), "{told}");
    assert!(told.lines().all(|line| line.starts_with("wasm-host.toml: error: ")), "{told}");
}

#[test]
fn what_is_wrong_with_the_file_itself_is_told_with_its_line() {
    let application = Application::new();
    let told = application
        .read("name = \"shop\"\n[postgres.a]\nurll = 1\n[service.a]\ncomponent = 'b.wasm'\n");
    let told = told.unwrap_err();
    assert!(told.contains("wasm-host.toml:3:1: error: unknown key 'urll'"), "{told}");
    assert!(
        told.contains("wasm-host.toml:5:13: error: the component 'b.wasm' does not exist"),
        "{told}"
    );
    let told = application.read("name = \n").unwrap_err();
    assert!(told.starts_with("wasm-host.toml:1:"), "{told}");
}

#[test]
fn a_secret_address_is_no_reason_to_stop_and_is_told() {
    let plan = Application::new().plan(RICH);
    let said = plan.warnings.iter();
    let of_it = said.filter(|it| it.starts_with("the address of [postgres.orders] is a secret"));
    assert_eq!(of_it.count(), 1, "{:?}", plan.warnings);
}

/// `a` has an administrator with the password that the role of `a-admin` has.
#[test]
fn two_databases_with_one_password_are_refused() {
    let text =
        "name = \"shop\"\n[postgres.a]\n[postgres.a-admin]\n[service.one]\ncomponent = 'a.wasm'\n";
    let told = Application::new().read(text).unwrap_err();
    let expected = "[postgres.a] and [postgres.a-admin] would both have the password ${POSTGRES_A_ADMIN_PASSWORD}; rename \
                    one of them";
    assert!(told.contains(expected) && told.lines().count() == 1, "{told}");
}

/// What differs in capitals, or is a resource with `_` for `-`, is one name to a tool that takes neither.
#[test]
fn each_secret_has_a_parameter_of_its_own() {
    let text = "name = \"shop\"\n[ollama.api-key]\n[service.one]\ncomponent = 'a.wasm'\nenvironment = { A = \"${API_KEY}\", \
                B = \"${api_key}\", C = \"${API_KEY_SECRET}\" }\n";
    let plan = Application::new().plan(text);
    let files = crate::manifest::files(&plan, "");
    let manifest: Value = serde_json::from_str(&files[0].text).unwrap();
    let env = at(&manifest, "/resources/shop/env").as_object().unwrap();
    let names: std::collections::BTreeSet<_> = env.values().map(Value::to_string).collect();
    assert_eq!(names.len(), 3, "{env:?}");
    assert_eq!(at(&manifest, "/resources/api-key/type"), "container.v0");
}

#[test]
fn a_config_map_has_an_end() {
    let application = Application::new();
    fs::write(application.path().join("sql/more.sql"), "-- x\n".repeat(210_000)).unwrap();
    let told = application.read(RICH).unwrap_err();
    assert!(
        told.contains("more than the 1024000 that one ConfigMap takes; make sql/more.sql smaller"),
        "{told}"
    );
}

#[test]
fn a_resource_with_the_name_of_a_service_has_its_kind_in_front() {
    let plan = Application::new().plan(RICH);
    let names: Vec<_> = plan.databases.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, ["postgres-cart"]);
    assert_eq!(plan.models[0].name, "small");
    let taken = "name = \"x\"\n[postgres.a]\n[service.a]\ncomponent = 'a.wasm'\n[service.postgres-a]\ncomponent = 'a.wasm'\n";
    let told = Application::new().read(taken).unwrap_err();
    assert!(told.contains("[postgres.a] has no name of its own left"), "{told}");
}

#[test]
fn what_is_in_the_way_of_containers_is_not_in_the_way_of_a_machine() {
    let text = "name = \"shop\"\n[postgres.a]\nurl = \"postgresql://a:${PW}@localhost/a\"\n[postgres.own]\n\
                [service.one-]\ncomponent = 'a.wasm'\npostgres = \"a\"\n";
    let application = Application::new();
    assert_eq!(application.read(text).unwrap_err().lines().count(), 2);
    let plan = application.read_for(text, Platform::Machine).unwrap();
    let files = crate::systemd::files(&plan);
    let unit = &files[0].text;
    assert!(unit.contains("TimeoutStopSec=30s") && !unit.contains("ExecReload"), "{unit}");
    // The host, and one server of its own, which is in the same group.
    assert!(unit.contains(&format!("MemoryMax={}", 6656_u64 * 1024 * 1024 + (1 << 30))), "{unit}");
    assert!(unit.contains("\nCapabilityBoundingSet=\nAmbientCapabilities=\n"), "{unit}");
    let low = text.replace("[postgres.own]", "[http]\nlisten = \"0.0.0.0:443\"\n[postgres.own]");
    let low = application.read_for(&low, Platform::Machine).unwrap();
    let may_bind =
        "\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n";
    assert!(crate::systemd::files(&low)[0].text.contains(may_bind));
    assert_eq!(files[1].path, "shop.env.example");
    assert!(files[1].text.ends_with("\nPW=\n"), "{}", files[1].text);
}

#[test]
fn several_hosts_have_a_database_for_their_swaps_or_are_told_of_one() {
    let service = "name = \"shop\"\n[service.a]\ncomponent = \"a.wasm\"\nroute = \"/\"\n";
    let application = Application::new();
    let alone = application.plan(service);
    assert_eq!(alone.warnings, Vec::<String>::new());
    for more in ["replicas = 2", "replicas-max = 3"] {
        let plan = application.plan(&format!("{service}[deploy]\n{more}\n"));
        assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
        assert!(plan.warnings[0].contains("write [replicas] with url"), "{:?}", plan.warnings);
    }
    let replicas = "[replicas]\nurl = \"postgres://app:${PW}@db.example:6432/decisions\"\n";
    let plan = application.plan(&format!("{service}{replicas}[deploy]\nreplicas = 2\n"));
    assert_eq!(plan.warnings, Vec::<String>::new());
    // The host is let through to it, and is given the secret.
    assert_eq!(plan.egress, [Egress { to: To::Anywhere, port: 6432 }]);
    assert_eq!(plan.secrets.len(), 1);
    for more in ["replicas = 201", "replicas-max = 201"] {
        let wrong =
            application.read(&format!("{service}{replicas}[deploy]\n{more}\n")).unwrap_err();
        assert!(wrong.contains("more hosts than [replicas] takes, which is 200"), "{wrong}");
    }
    // The whole address may be the secret, as the documentation has it, and so may that of a bucket.
    let secret =
        "[replicas]\nurl = \"${REPLICAS_URL}\"\n[keyvalue.kept]\nurl = \"${BUCKET_URL}\"\n";
    let plan = application.plan(&format!("{service}{secret}"));
    let reached: Vec<_> = plan.egress.iter().map(|egress| egress.port).collect();
    assert_eq!(reached, [5432, 6379]);
    let here = format!("{service}[replicas]\nurl = \"postgres://app@localhost/decisions\"\n");
    let wrong = application.read(&here).unwrap_err().to_string();
    assert!(wrong.contains("the url of [replicas] is on this machine"), "{wrong}");
}

#[test]
fn replicas_reach_the_registries_of_the_file_and_a_host_alone_none() {
    let text = "name = \"shop\"\n[registry.\"registry.internal:5000\"]\n[registry.\"10.1.2.3\"]\nplain-http = true\n\
                [registry.\"127.0.0.1:5000\"]\n\
                [service.a]\ncomponent = \"oci://registry.example/shop/a:1\"\nroute = \"/\"\n";
    let application = Application::new();
    let alone = application.plan(text);
    assert_eq!((alone.egress, alone.warnings), (Vec::new(), Vec::new()));
    let plan =
        application.plan(&format!("{text}[replicas]\nurl = \"postgres://app@db.example/d\"\n"));
    let expected = [
        Egress { to: To::Anywhere, port: 443 },
        Egress { to: To::Anywhere, port: 5000 },
        Egress { to: To::Anywhere, port: 5432 },
        Egress { to: To::Network("10.1.2.3/32".parse().unwrap()), port: 80 },
    ];
    assert_eq!(plan.egress, expected);
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
    assert!(
        plan.warnings[0].contains("registry 127.0.0.1:5000 is on this machine"),
        "{:?}",
        plan.warnings
    );
}

#[test]
fn a_file_of_sqlite_is_told_to_be_of_one_host() {
    let plan = Application::new().plan(
        "name = \"shop\"\n[sqlite.notes]\n[service.a]\ncomponent = \"a.wasm\"\nsqlite = \"notes\"\n",
    );
    let [warning] = &*plan.warnings else { panic!("{:?}", plan.warnings) };
    assert!(warning.contains("[sqlite.notes] is a file in the state folder"), "{warning}");
}

#[test]
fn what_buckets_keep_is_in_the_plan() {
    let text = |store: &str| {
        format!(
            "name = \"shop\"\n[keyvalue.carts]\n{store}\n[service.a]\ncomponent = \"a.wasm\"\nkeyvalue = \"carts\"\n"
        )
    };
    let application = Application::new();
    let plan = |store| application.plan(&text(store));
    let file = plan("size = \"2GiB\"");
    let [warning] = &*file.warnings else { panic!("{:?}", file.warnings) };
    assert!(warning.contains("[keyvalue.carts] is a file in the state folder"), "{warning}");
    let redis = plan("url = \"redis://cache.example:7000\"");
    assert!(redis.warnings.is_empty(), "{:?}", redis.warnings);
    assert_eq!(redis.egress, [Egress { to: To::Anywhere, port: 7000 }]);
    // What is in memory is beside what the host has for components.
    let memory = plan("store = \"memory\"\nsize = \"2GiB\"");
    assert_eq!(memory.memory_bytes, file.memory_bytes + 2 * 1024 * 1024 * 1024);
    assert_eq!(redis.memory_bytes, file.memory_bytes);
}
