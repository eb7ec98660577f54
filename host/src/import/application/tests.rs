use super::super::manifest;
use super::*;

fn written_of(text: &str) -> Written {
    let begin = "spin_manifest_version = 2\n[application]\nname = \"shop\"\n";
    written(&manifest::read(&format!("{begin}{text}")).unwrap(), None)
}

#[test]
fn each_route_of_a_component_is_a_service_and_private_ones_are_internal() {
    let Written { text, told } = written_of(
        "[[trigger.http]]\nroute = \"/...\"\ncomponent = \"Front_End\"\n\
         [[trigger.http]]\nroute = \"/v2/...\"\ncomponent = \"Front_End\"\n\
         [[trigger.http]]\nroute = { private = true }\ncomponent = \"cart\"\n\
         [component.Front_End]\nsource = \"a.wasm\"\n\
         allowed_outbound_hosts = [\"http://cart.spin.internal\"]\n\
         [component.cart]\nsource = \"b.wasm\"\n[component.spare]\nsource = \"c.wasm\"\n",
    );
    let expected = "\
# Made of a manifest of Spin by `wasm-host import`.
name = \"shop\"

[service.front-end]
component = \"a.wasm\"
route = \"/\"
services = [\"cart\"]

[service.front-end-2]
component = \"a.wasm\"
route = \"/v2\"
keep-path = true
services = [\"cart\"]

[service.cart]
component = \"b.wasm\"
internal = true
";
    assert_eq!(text, expected);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("the component spare is left out"), "{told:?}");
}

#[test]
fn the_file_server_of_spin_is_a_static_service() {
    let Written { text, told } = written_of(
        "[[trigger.http]]\nroute = \"/static/...\"\ncomponent = \"assets\"\n[component.assets]\n\
         source = { url = \"https://example.com/spin_static_fs.wasm\", digest = \"sha256:0\" }\n\
         files = [{ source = \"web\", destination = \"/\" }]\n",
    );
    assert!(text.ends_with("[service.assets]\nstatic = \"web\"\nroute = \"/static\"\n"), "{text}");
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn what_the_file_server_of_spin_has_beside_its_folder_is_told() {
    let Written { told, .. } = written_of(
        "[[trigger.http]]\nroute = \"/...\"\ncomponent = \"assets\"\n[component.assets]\n\
         source = { url = \"https://example.com/spin_static_fs.wasm\", digest = \"sha256:0\" }\n\
         files = [{ source = \"web\", destination = \"/\" }]\nexclude_files = [\"web/secret.json\"]\n\
         environment = { FALLBACK_PATH = \"index.html\" }\nbuild = { command = \"npm run build\" }\n\
         surprise = 1\n",
    );
    for key in ["environment", "build", "exclude_files", "surprise"] {
        let line = format!("assets: {key} is left out: ");
        assert!(told.iter().any(|told| told.starts_with(&line)), "{key}: {told:#?}");
    }
    assert_eq!(told.len(), 4, "{told:#?}");
}

#[test]
fn what_a_part_has_of_its_own_is_told() {
    let Written { told, .. } = written_of(
        "[[trigger.http]]\nroute = \"/...\"\ncomponent = { source = \"a.wasm\", dependencies = { \
         \"c:d/e@1.0.0\" = { component = \"b\", inherit_configuration = true } } }\n\
         [component.b]\nsource = \"b.wasm\"\nbuild = { command = \"make\" }\nai_models = [\"m\"]\n\
         [component.c]\nsource = \"c.wasm\"\n[component.d]\nsource = \"d.wasm\"\n\
         dependencies = { \"c:d/e@1.0.0\" = { component = \"c\" } }\n",
    );
    let parts = ["b: build is left out: it is a part", "b: ai_models is left out: it is a part"];
    let unused = ["the component c is left out", "the component d is left out"];
    for line in parts.into_iter().chain(unused) {
        assert!(told.iter().any(|told| told.starts_with(line)), "{line}: {told:#?}");
    }
    assert_eq!(told.len(), 4, "{told:#?}");
}

#[test]
fn what_cannot_be_carried_over_is_told_a_line_each() {
    let Written { text, told } = written_of(
        "[variables]\nk = { required = true }\n[[trigger.http]]\nroute = \"/x\"\ncomponent = \"a\"\n\
         [[trigger.http]]\nroute = \"/b/...\"\ncomponent = \"b\"\n\
         [[trigger.http]]\nroute = \"/y\"\nstatic_response = { status_code = 404 }\n\
         [component.a]\nfiles = [\"*.txt\"]\nvariables = { key = \"{{ k }}\" }\n\
         source = { registry = \"r.example\", package = \"a:b\", version = \"1.0.0\" }\n\
         key_value_stores = [\"My_Store\"]\nsqlite_databases = [\"one\", \"two\"]\nai_models = [\"m\"]\n\
         allowed_outbound_hosts = [\"postgres://db:5432\"]\n\
         profile = { debug = {} }\nbuild = { command = \"a\" }\n\
         [component.b]\nsource = \"b.wasm\"\n\
         dependencies = { \"c:d/e@1.0.0\" = { path = \"e.wasm\" }, \"c:d/f\" = \"1.0\" }\n\
         build = { command = [\"a\", \"b\"], workdir = \"w\", watch = [\"src\", \"../x\"] }\n",
    );
    for line in [
        "postgres = \"db\"",
        "ollama = \"models\"",
        "keyvalue = \"my-store\"",
        "sqlite = [\"one\", \"two\"]",
        "[service.a.config]",
        "key = \"${SPIN_VARIABLE_K}\"",
        "with = { \"c:d/e@1.0.0\" = \"e.wasm\" }",
        "build = [\"sh\", \"-c\", \"a && b\"]",
        "source = \"w\"",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}:\n{text}");
    }
    for part in [
        "static response at /y",
        "a:b@1.0.0 of r.example",
        "the route /x is that path alone",
        "DATABASE_URL",
        "Ollama, which must have them: m",
        "../x is not there",
        "its build is left out",
        "opens as My_Store is [keyvalue.my-store]",
        "e.wasm, which serves c:d/e@1.0.0",
        "its files",
        "dependency c:d/f",
        "profile debug",
    ] {
        assert_eq!(told.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {told:#?}");
    }
}

#[test]
fn what_this_command_makes_nothing_of_is_told_by_its_name() {
    let Written { text, told } = written_of(
        "version = \"1.0.0\"\ntool = { a = {} }\ntrigger = { redis = { address = \"redis://r\" } }\n\
         [[trigger.redis]]\nchannel = \"c\"\ncomponent = \"a\"\n[[trigger.redis]]\nchannel = \"d\"\n\
         component = \"a\"\n[[trigger.mqtt]]\ntopic = \"t\"\ncomponent = \"a\"\n\
         [[trigger.http]]\nid = \"one\"\nroute = \"/...\"\ncomponent = \"a\"\nexecutor = { type = \"http\" }\n\
         [[trigger.http]]\nroute = \"/w/...\"\ncomponent = \"a\"\nexecutor = { type = \"wagi\" }\n\
         [[trigger.http]]\nroute = \"/v/...\"\ncomponent = \"b\"\ncomponents = { middleware = \"a\" }\n\
         [component.a]\ndescription = \"A\"\nsource = \"a.wasm\"\ntargets = [\"x\"]\nexclude_files = [\"y\"]\n\
         key_value_stores = [\"default\", \"carts\"]\nenvironment = { PRICE = \"5\" }\n\
         [component.b]\nsource = { package = \"f:g\", version = \"2.0.0\" }\n",
    );
    assert!(text.contains("keyvalue = [\"default\", \"carts\"]"), "{text}");
    assert!(text.contains("environment = { PRICE = \"5\" }"), "{text}");
    assert!(!text.contains("route = \"/w\""), "{text}");
    let parts = [
        "application: tool is left out",
        "application: trigger is left out",
        "2 of trigger redis are left out",
        "1 of trigger mqtt are left out",
        "the route /w/... is left out: its executor is wagi",
        "trigger.http at /v/...: components is left out",
        "a: targets is left out",
        "f:g@2.0.0 of the default registry",
    ];
    for part in parts {
        let count = told.iter().filter(|line| line.contains(part)).count();
        assert_eq!(count, 1, "{part}: {told:#?}");
    }
    assert_eq!(told.len(), parts.len(), "{told:#?}");
}

#[test]
fn a_component_that_serves_an_import_of_another_is_its_part() {
    let Written { text, told } = written_of(
        "[[trigger.http]]\nroute = \"/...\"\ncomponent = \"a\"\n[component.a]\nsource = \"a.wasm\"\n\
         dependencies = { \"c:d/e@1.0.0\" = { component = \"b\", inherit_configuration = true } }\n\
         [component.b]\nsource = \"b.wasm\"\n",
    );
    assert!(text.contains("with = { \"c:d/e@1.0.0\" = \"b.wasm\" }"), "{text}");
    assert!(told.is_empty(), "{told:#?}");
}
