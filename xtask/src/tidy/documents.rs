//! Documentation that names files: each of them has to be there.

use std::path::Path;

/// Documents, and folders of which every document is checked.
const CHECKED: [&str; 4] = ["ARCHITECTURE.md", "README.md", "docs/", "tests/FAULTS.md"];

/// Made by builds, so not there in a fresh checkout.
const MADE: [&str; 3] = ["target", "web/dist", "web/node_modules"];

/// `application/json` and the like have the form of a path.
const MEDIA: [&str; 6] = ["application", "audio", "font", "image", "text", "video"];

pub(super) fn is_checked(path: &str) -> bool {
    let below = |checked: &str| checked.ends_with('/') && path.starts_with(checked);
    path.ends_with(".md") && CHECKED.iter().any(|checked| path == *checked || below(checked))
}

pub(super) fn problems(root: &Path, document: &str, text: &str) -> Vec<String> {
    let exists = |name: &str| root.join(name).exists();
    let missing = names(text).into_iter().filter(|(_, name)| !exists(name));
    missing.map(|(line, name)| format!("{document}:{line}: there is no `{name}`")).collect()
}

/// Every path in backticks, with its line. Fenced blocks are examples and not looked at.
fn names(text: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let quoted = line.split('`').skip(1).step_by(2).filter(|name| is_path(name));
            names.extend(quoted.map(|name| (number + 1, name)));
        }
    }
    names
}

fn is_path(name: &str) -> bool {
    let ending = [".rs", ".toml", ".md"].iter().any(|ending| name.ends_with(ending));
    // Routes and URLs, options, versions and whatever has a placeholder.
    let other = |c: char| c.is_whitespace() || "<>{}*$:@()=,;|\"'…".contains(c);
    let within = |folder: &&str| {
        name.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let hidden = [".ci/", ".cargo/"].iter().any(|folder| name.starts_with(folder));
    let elsewhere = name.starts_with(['/', '-', '~', '.']) && !hidden;
    (name.contains('/') || ending)
        && !name.contains(other)
        && !name.contains("...")
        && !elsewhere
        && !MADE.iter().any(within)
        && !MEDIA.iter().any(within)
        && !is_placeholder(name)
}

/// `APP.toml` and `path/to/NAME.md`, but `README.md` is a name.
fn is_placeholder(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let shouted = !stem.is_empty() && stem.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    shouted && !["README", "ARCHITECTURE", "CHANGELOG", "LICENSE"].contains(&stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_other_things_in_backticks() {
        for path in ["host/src/serve.rs", "Cargo.toml", "wit/deps/", ".ci/run", "README.md"] {
            assert!(is_path(path), "{path}");
        }
        for other in [
            "cargo xtask serve",
            "/weather",
            "http://127.0.0.1:8080/",
            "wasi:http/handler@0.3",
            "application/json",
            "components/<name>/Cargo.toml",
            "tests/guests/*",
            "APP.toml",
            "web/dist/index.html",
            "target/components/weather.wasm",
            "Retry-After",
            "../elsewhere/x.md",
        ] {
            assert!(!is_path(other), "{other}");
        }
    }

    #[test]
    fn documents_are_checked_one_by_one_and_by_folders() {
        for path in ["README.md", "docs/swap.md", "docs/decisions/README.md", "tests/FAULTS.md"] {
            assert!(is_checked(path), "{path}");
        }
        for path in ["CHANGELOG.md", "docs/picture.png", "host/docs/swap.md", "docs.md"] {
            assert!(!is_checked(path), "{path}");
        }
    }

    #[test]
    fn a_missing_file_is_reported_with_its_line() {
        let root = crate::project::root();
        let text = "See `xtask/src/main.rs`,\n`README.md` and `xtask/src/gone.rs`.\n\
            ```\n`also/gone.rs`\n```\n";
        let problems = problems(&root, "README.md", text);
        assert_eq!(problems, ["README.md:2: there is no `xtask/src/gone.rs`"]);
    }
}
