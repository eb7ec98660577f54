//! Commands that build components: of crates together, and of one service.

use super::broken::{application, check};

#[test]
fn builds_that_cannot_be_run() {
    let service = "name = \"shop\"\n[service.a]\ncomponent = \"weather\"\n";
    for (line, expected) in [
        (
            r#"build = "cargo build""#,
            r#"5:9: error: 'cargo build' is one word with spaces; did you mean ["cargo", "build"]?"#,
        ),
        (
            "build = []",
            r#"5:1: error: 'build' is empty; write it as a list of words, as in ["cargo", "xtask", "guests"]"#,
        ),
        (
            r#"build = ["", "x"]"#,
            r#"5:10: error: 'build' names no program; write it as a list of words, as in ["cargo", "xtask", "guests"]"#,
        ),
        (
            "build = true",
            "5:9: error: 'build' is true or false; it must be a string or a list of strings",
        ),
        (
            "biuld = []",
            "5:1: error: unknown key 'biuld'; did you mean 'build'?\nwasm-host.toml:5:1: error: 'build' is empty; write it as a list of words, as in [\"cargo\", \"xtask\", \"guests\"]",
        ),
        (r#"build-timeout = "0s""#, "5:17: error: 'build-timeout' is too small; the minimum is 1s"),
    ] {
        check(&format!("{service}[watch]\n{line}\n"), &format!("wasm-host.toml:{expected}"));
    }
}

#[test]
fn builds_of_services_that_cannot_be_run() {
    for (lines, expected) in [
        (
            "component = \"a.wasm\"\nbuild = \"make all\"",
            r#"4:9: error: 'make all' is one word with spaces; did you mean ["make", "all"]?"#,
        ),
        (
            "component = \"a.wasm\"\nbuild = []",
            r#"4:1: error: 'build' is empty; write it as a list of words, as in ["cargo", "build", "--release"]"#,
        ),
        (
            "component = \"weather\"\nbuild = [\"make\"]",
            "4:1: error: 'build' makes a .wasm file, and 'component' is none; name the file that it writes as 'component', or remove 'build'; crates under components/ are built by 'build' of [watch]",
        ),
        (
            "static = \"web/dist\"\nbuild = [\"make\"]",
            "4:1: error: 'build' means nothing for a service of static files; remove it; it is for components",
        ),
    ] {
        let text = format!("name = \"shop\"\n[service.a]\n{lines}\n");
        check(&text, &format!("wasm-host.toml:{expected}"));
    }
}

#[test]
fn a_component_that_is_built_need_not_be_there_yet() {
    let text =
        "name = \"shop\"\n[service.a]\ncomponent = \"out/a.wasm\"\nbuild = [\"make\", \"a\"]\n";
    let config = application().parse(text).unwrap();
    let component = config.services["a"].component().unwrap();
    assert_eq!(component.build.as_deref(), Some(&["make".to_owned(), "a".to_owned()][..]));
    assert_eq!(component.sources.as_deref(), Some(config.folder.as_path()));
    // Where it only runs, such as in an image, there are no sources.
    let config = application().parse(&format!("{text}source = \"elsewhere\"\n")).unwrap();
    let component = config.services["a"].component().unwrap();
    assert_eq!(component.sources, Some(config.folder.join("elsewhere")));
}

#[test]
fn cases_of_two_components_with_the_same_sources_are_kept_apart() {
    let service = |name: &str, component: &str, rest: &str| {
        format!("[service.{name}]\ncomponent = \"{component}\"\nbuild = [\"make\"]\n{rest}")
    };
    let text = "name = \"shop\"\n".to_owned()
        + &service("a", "a.wasm", "")
        + &service("b", "b.wasm", "")
        + &service("c", "c.wasm", "source = \"c\"\n")
        + &service("d", "c.wasm", "source = \"c\"\n");
    let config = application().parse(&text).unwrap();
    let cases = ["a", "b", "c", "d", "e"].map(|name| config.cases_of(name));
    let below = |path: &str| Some(config.folder.join(path));
    let expected = [below("cases/a"), below("cases/b"), below("c/cases"), below("c/cases"), None];
    assert_eq!(cases, expected);
}
