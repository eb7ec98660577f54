use wasm_host_tests::handmade::{HANDLER, importing, middleware, part};

use super::*;
use crate::Engine;
use crate::compile::{CodeCache, compile_now};
use crate::link::{check, imports};
use wasm_host_system::digest::Digest;

const ANVIL: &str = "acme:coyote/anvil@1.0.0";
const ROCKET: &str = "acme:coyote/rocket@1.0.0";
const POSTGRES: &str = "wasm-host:postgres/client@0.1.0";

fn file(name: &str, bytes: Vec<u8>) -> ComponentFile {
    ComponentFile::from_bytes(bytes, format!("{name}.wasm").into()).unwrap()
}

fn in_front(name: &str, bytes: Vec<u8>) -> Part {
    Part::new(name.to_owned(), Role::Middleware, file(name, bytes))
}

fn service(bytes: Vec<u8>) -> Part {
    Part::new("service".to_owned(), Role::Service, file("service", bytes))
}

fn serving(name: &str, keys: &[&str], bytes: Vec<u8>) -> Part {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Part::new(name.to_owned(), Role::With(keys), file(name, bytes))
}

fn wrong(parts: Vec<Part>) -> Vec<(At, String)> {
    let Err(Faults(faults)) = compose_now(parts) else { panic!("it was composed") };
    faults.into_iter().map(|fault| (fault.at.clone(), fault.to_string())).collect()
}

/// What the host is asked for by what comes of them, as wasmtime sees it.
fn imported(parts: Vec<Part>) -> Vec<String> {
    let engine = Engine::new(1).unwrap();
    let file = compose_now(parts).unwrap();
    let component = compile_now(&engine, &CodeCache::none(), &file).unwrap();
    let imports = imports(&engine, &component);
    imports.into_iter().filter(|name| !name.starts_with("wasi:")).collect()
}

#[test]
fn middleware_stands_in_front_in_its_order_and_the_host_sees_one_component() {
    let parts = || {
        vec![
            in_front("outer", middleware(&[])),
            in_front("inner", middleware(&[ROCKET])),
            service(importing(&[ANVIL])),
        ]
    };
    assert_eq!(imported(parts()), [ROCKET, ANVIL]);
    let file = compose_now(parts()).unwrap();
    assert_eq!(file.path.display().to_string(), "outer.wasm + inner.wasm + service.wasm");
    let of_part = |part: &Part| (part.name.clone(), part.imports.clone());
    let known: Vec<_> = file.parts.iter().map(of_part).collect();
    assert!(!known[0].1.contains(&HANDLER.to_owned()), "it is served: {known:?}");
    assert_eq!(importers(&file.parts, ANVIL), ["service.wasm"]);
    assert_eq!(importers(&file.parts, ROCKET), ["inner.wasm"]);
    // What is cached and kept by its digest is the same each time.
    assert_eq!(file.digest, compose_now(parts()).unwrap().digest);
}

#[test]
fn an_import_is_served_by_another_component_in_any_compatible_version() {
    for (key, exported) in [
        ("acme:coyote/anvil", ANVIL),
        (ANVIL, ANVIL),
        ("acme:coyote/anvil@1.2.0", "acme:coyote/anvil@1.2.3"),
    ] {
        let parts = vec![
            service(importing(&[ANVIL])),
            serving("other", &[key], part(&[ROCKET], &[exported])),
        ];
        assert_eq!(imported(parts), [ROCKET], "{key}");
    }
}

#[test]
fn a_part_between_another_one_and_the_host_serves_itself_with_nothing() {
    let audit = serving("audit", &["acme:coyote/anvil"], part(&[ANVIL], &[ANVIL]));
    assert_eq!(imported(vec![service(importing(&[ANVIL])), audit]), [ANVIL]);
}

#[test]
fn what_serves_is_served_too_and_one_component_may_serve_several() {
    let parts = vec![
        in_front("outer", middleware(&[ROCKET])),
        service(importing(&[ANVIL])),
        serving("both", &["acme:coyote/anvil", "acme:coyote/rocket"], part(&[], &[ANVIL, ROCKET])),
    ];
    assert_eq!(imported(parts), Vec::<String>::new());
    let chain = vec![
        service(importing(&[ANVIL])),
        serving("a", &["acme:coyote/anvil"], part(&[ROCKET], &[ANVIL])),
        serving("b", &["acme:coyote/rocket"], part(&[], &[ROCKET])),
    ];
    assert_eq!(imported(chain), Vec::<String>::new());
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let old = "acme:coyote/rocket@0.9.0";
    let told = wrong(vec![
        in_front("plain", importing(&[])),
        in_front("none", part(&[], &[ANVIL])),
        service(importing(&[ANVIL, ROCKET])),
        serving("other", &["acme:coyote/anvil"], part(&[], &[ROCKET])),
        serving("old", &["acme:coyote/rocket"], part(&[], &[old])),
        serving("unused", &["acme:coyote/anvli"], part(&[], &["acme:coyote/anvli@1.0.0"])),
    ]);
    // Six parts are too many to begin with.
    assert_eq!(told.len(), 1, "{told:?}");
    let told = wrong(vec![
        in_front("plain", importing(&[])),
        service(importing(&[ANVIL, ROCKET])),
        serving("other", &["acme:coyote/anvil"], part(&[], &["acme:coyote/anvli@1.0.0"])),
        serving("old", &["acme:coyote/rocket", "acme:coyote/rock"], part(&[], &[old])),
    ]);
    let expected = [
        (
            At::Part(0),
            "plain.wasm is no middleware: it exports wasi:http/incoming-handler@0.2.12 and does not import it",
        ),
        (
            At::Key("acme:coyote/anvil".to_owned()),
            "service.wasm imports acme:coyote/anvil@1.0.0, and other.wasm exports acme:coyote/anvli@1.0.0",
        ),
        (
            At::Key("acme:coyote/rocket".to_owned()),
            "service.wasm imports acme:coyote/rocket@1.0.0, and old.wasm exports acme:coyote/rocket@0.9.0",
        ),
        (
            At::Key("acme:coyote/rock".to_owned()),
            "old.wasm does not export acme:coyote/rock: it exports acme:coyote/rocket@0.9.0",
        ),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for ((at, told), (expected_at, expected)) in told.iter().zip(&expected) {
        assert!(at == expected_at && told.starts_with(expected), "{at:?} {told}");
    }
}

#[test]
fn what_is_no_middleware_no_service_or_not_needed_is_told() {
    let one = |parts| {
        let told = wrong(parts);
        assert_eq!(told.len(), 1, "{told:#?}");
        told.into_iter().next().unwrap()
    };
    let (at, told) = one(vec![in_front("none", part(&[], &[ANVIL])), service(importing(&[]))]);
    assert!(
        at == At::Part(0) && told.contains("it does not export wasi:http/incoming-handler"),
        "{told}"
    );
    let (at, told) = one(vec![in_front("a", middleware(&[])), service(part(&[], &[ANVIL]))]);
    assert!(
        at == At::Part(1) && told.contains("service.wasm is no service: it exports acme"),
        "{told}"
    );
    let (at, told) = one(vec![
        service(importing(&[ROCKET])),
        serving("b", &["acme:coyote/anvil"], part(&[], &[ANVIL])),
    ]);
    assert_eq!(at, At::Key("acme:coyote/anvil".to_owned()));
    assert!(
        told.ends_with("remove it, or name what is imported: acme:coyote/rocket@1.0.0"),
        "{told}"
    );
}

#[test]
fn the_key_that_says_more_serves_an_import() {
    let parts = |general: &str, special: &str| {
        vec![
            service(importing(&[ANVIL, "acme:coyote/anvil@2.0.0"])),
            serving("all", &[general], part(&[ROCKET], &[ANVIL, "acme:coyote/anvil@2.0.0"])),
            serving("one", &[special], part(&[POSTGRES], &["acme:coyote/anvil@1.2.0"])),
        ]
    };
    let file = compose_now(parts("acme:coyote/anvil", "acme:coyote/anvil@1.2.0")).unwrap();
    assert_eq!(importers(&file.parts, ANVIL), Vec::<String>::new());
    // One that is left nothing has no place in it; two that say as much are told, with both.
    let none = vec![
        service(importing(&[ANVIL])),
        serving("all", &["acme:coyote/anvil"], part(&[], &[ANVIL])),
        serving("one", &[ANVIL], part(&[], &[ANVIL])),
    ];
    let expected = "other keys serve all that acme:coyote/anvil means, and all.wasm has nothing to do; remove it";
    assert_eq!(wrong(none), [(At::Key("acme:coyote/anvil".to_owned()), expected.to_owned())]);
    let both = vec![
        service(importing(&[ANVIL])),
        serving("a", &["acme:coyote/anvil@1.1.0"], part(&[], &["acme:coyote/anvil@1.1.0"])),
        serving("b", &["acme:coyote/anvil@1.2.0"], part(&[], &["acme:coyote/anvil@1.2.0"])),
    ];
    let told = wrong(both);
    let expected = "acme:coyote/anvil@1.1.0 and acme:coyote/anvil@1.2.0 both serve acme:coyote/anvil@1.0.0, which service.wasm imports: a.wasm and b.wasm; name acme:coyote/anvil@1.0.0 itself";
    assert!(told.len() == 1 && told[0].1.starts_with(expected), "{told:?}");
}

#[test]
fn so_many_faults_and_names_are_told_as_are_read() {
    let names = |count: usize, package: &str| -> Vec<String> {
        (0..count).map(|number| format!("acme:coyote/{package}{number}@1.0.0")).collect()
    };
    let (asked, given) = (names(60, "asked"), names(40, "given"));
    let [asked, given] =
        [&asked, &given].map(|all| all.iter().map(|name| &**name).collect::<Vec<&str>>());
    let told = wrong(vec![service(importing(&asked)), serving("other", &asked, part(&[], &given))]);
    assert_eq!(told.len(), limits::COMPOSITION_FAULTS + 1);
    assert!(told[0].1.contains(" and 28 more"), "{}", told[0].1);
    assert!(told.iter().all(|(_, message)| message.len() < 1000));
}

#[test]
fn parts_that_serve_each_other_are_told() {
    let told = wrong(vec![
        service(importing(&[ANVIL])),
        serving("a", &["acme:coyote/anvil"], part(&[ROCKET], &[ANVIL])),
        serving("b", &["acme:coyote/rocket"], part(&[ANVIL], &[ROCKET])),
    ]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.starts_with("a.wasm, b.wasm serve each other in a circle"), "{told:?}");
}

#[test]
fn an_interface_of_another_shape_and_a_file_of_nonsense_are_told() {
    let mut nonsense = importing(&[]);
    nonsense.truncate(nonsense.len() - 3);
    let told = wrong(vec![in_front("half", nonsense), service(importing(&[]))]);
    assert!(
        told[0].0 == At::Part(0) && told[0].1.starts_with("half.wasm cannot be a part"),
        "{told:?}"
    );
}

#[test]
fn bounds_are_told_before_a_part_is_read() {
    let parts =
        (0..limits::COMPOSITION_PARTS).map(|_| in_front("a", Vec::from(b"\0asm\x0d\0\x01\0")));
    let told = wrong(parts.chain([service(importing(&[]))]).collect());
    assert!(told[0].1.contains("has at most"), "{told:?}");
    let large =
        Part { size: limits::COMPOSITION_BYTES, ..in_front("a", Vec::from(b"\0asm\x0d\0\x01\0")) };
    let told = wrong(vec![large, service(importing(&[]))]);
    assert!(told[0].1.contains("bytes together"), "{told:?}");
}

#[test]
fn a_grant_that_is_missing_is_told_with_the_parts_that_need_it() {
    let file = compose_now(vec![
        in_front("auth", middleware(&[POSTGRES])),
        in_front("log", middleware(&[])),
        service(importing(&[POSTGRES])),
    ])
    .unwrap();
    let refusal = check(&[POSTGRES.to_owned()], &[]).unwrap_err().of_parts(&file.parts);
    assert_eq!(
        refusal.to_string(),
        "auth.wasm and service.wasm import wasm-host:postgres/client@0.1.0, and nothing grants it postgres"
    );
}

#[test]
fn names_are_made_distinct() {
    let names = ["auth", "auth", "a", "auth-2", "auth"].map(str::to_owned);
    assert_eq!(distinct(names.into()), ["auth", "auth-2", "a", "auth-2-2", "auth-3"]);
}

#[test]
fn a_composition_is_recognised_by_its_parts_and_serves_one_request_at_a_time() {
    let compose = |middleware: Vec<Part>, own: &[&str]| {
        compose_now([middleware, vec![service(importing(own))]].concat()).unwrap()
    };
    let file = compose(vec![in_front("a", middleware(&[]))], &[]);
    assert_eq!(file.per_instance(), 1);
    // As another version of the library would make it.
    let otherwise = ComponentFile { bytes: b"other".as_slice().into(), ..file.clone() };
    let otherwise = ComponentFile { digest: Digest::of(b"other"), ..otherwise };
    assert_eq!(otherwise.identity(), file.identity());
    assert_ne!(file.identity(), file.digest);
    let twice = vec![in_front("a", middleware(&[])), in_front("b", middleware(&[]))];
    for other in [compose(twice, &[]), compose(vec![in_front("a", middleware(&[]))], &[POSTGRES])] {
        assert_ne!(other.identity(), file.identity());
    }
    let one = ComponentFile { parts: Arc::default(), ..file };
    assert_eq!(one.identity(), one.digest);
}
