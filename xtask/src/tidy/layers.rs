//! The order of the host's modules: http, service, engine, capability, settings, each using only what comes
//! after it; the application file as a whole stands on capabilities, the test kit beside the first two and on the
//! others. Rust itself lets modules of one crate use each other freely.

const FOLDER: &str = "host/src/";

/// What a layer must not use.
const FORBIDDEN: [(&str, &[&str]); 6] = [
    ("testkit", &["http", "service", "serve"]),
    ("service", &["http", "testkit"]),
    ("engine", &["http", "service", "testkit"]),
    ("config", &["http", "service", "engine", "testkit", "record", "backends"]),
    ("capability", &["http", "service", "engine", "testkit", "config", "record", "backends"]),
    (
        "settings",
        &["http", "service", "engine", "testkit", "config", "record", "backends", "capability"],
    ),
];

pub(super) fn problems(path: &str, text: &str) -> Vec<String> {
    let Some(module) = path.strip_prefix(FOLDER) else {
        return Vec::new();
    };
    let layer = module.split(['/', '.']).next().unwrap_or_default();
    let Some((_, forbidden)) = FORBIDDEN.iter().find(|(name, _)| *name == layer) else {
        return Vec::new();
    };
    let used = used_modules(text);
    let wrong = used.iter().filter(|(_, name)| forbidden.contains(&name.as_str()));
    wrong
        .map(|(line, name)| format!("{path}:{line}: `{layer}` must not use `crate::{name}`"))
        .collect()
}

/// Every `crate::x`, also of `crate::{x, y::z}`, with its line. Comments do not count.
fn used_modules(text: &str) -> Vec<(usize, String)> {
    let code: String = text.lines().map(|line| without_comment(line) + "\n").collect();
    let mut used = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        let before = code.get(..at).unwrap_or_default();
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = before.lines().count().max(1) + usize::from(before.ends_with('\n'));
        let line = if before.is_empty() { 1 } else { line };
        let rest = code.get(at + start.len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => used.extend(heads(group).into_iter().map(|name| (line, name))),
            None => used.push((line, identifier(rest))),
        }
    }
    used
}

fn without_comment(line: &str) -> String {
    line.split("//").next().unwrap_or_default().to_owned()
}

/// The first name of every item of a `use` group, up to its closing brace.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut item) = (0, String::new());
    let mut heads = Vec::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(identifier(&std::mem::take(&mut item))),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    heads.push(identifier(&item));
    heads
}

fn identifier(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_must_not_use_what_is_above_it() {
        let text = "use crate::limits;\nuse crate::service::Version;\n";
        let expected = ["host/src/engine/link.rs:2: `engine` must not use `crate::service`"];
        assert_eq!(problems("host/src/engine/link.rs", text), expected);
        assert_eq!(problems("host/src/http.rs", text), Vec::<String>::new());
        let text = "use crate::capability::ALL;\nuse crate::config::Config;\n";
        assert_eq!(problems("host/src/config/resolve.rs", text), Vec::<String>::new());
        assert_eq!(problems("host/src/capability/postgres.rs", text).len(), 1);
        assert_eq!(problems("host/src/settings/file.rs", text).len(), 2);
        assert_eq!(problems("host/src/serve.rs", text), Vec::<String>::new());
    }

    #[test]
    fn groups_and_paths_in_code_are_seen() {
        let text = "use crate::{\n    limits::{self, http},\n    engine::Engine,\n};\n";
        assert_eq!(problems("host/src/capability.rs", text).len(), 1);
        let text = "fn f() {\n    g(crate::http::X);\n}\n";
        let expected = ["host/src/service.rs:2: `service` must not use `crate::http`"];
        assert_eq!(problems("host/src/service.rs", text), expected);
    }

    #[test]
    fn other_crates_and_comments_are_not_meant() {
        let text = "use http::Request;\n// not crate::http\nuse mycrate::http::X;\n";
        assert_eq!(problems("host/src/engine.rs", text), Vec::<String>::new());
    }
}
