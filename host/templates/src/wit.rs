//! The interfaces that a service is granted: a world with those and no others, and the packages that it is made of.
//!
//! Tools differ in what they keep: some import all of a world into the component, used or not, so a world must have no
//! more than is granted.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use crate::render;

static INTERFACES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

/// The first words of a world that this program wrote, which it may write anew.
pub const WRITTEN: &str = "// Written by `wasm-host wit`";

/// The world that every service has.
pub const WORLD: &str = "service";

/// A version of WASI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wasi {
    /// 0.2, without asynchronous functions.
    P2,
    /// 0.3
    P3,
}

/// What a service may import beside WASI's types of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    pub postgres: bool,
    pub ollama: bool,
    /// Other services, or hosts outside.
    pub calls: bool,
}

/// `world.wit`, and below `deps` the packages, each in a folder of its own, as most tools look for them.
pub fn files(service: &str, wasi: Wasi, granted: Granted) -> Vec<(PathBuf, String)> {
    let packages = packages(wasi, granted);
    let mut files = vec![(PathBuf::from("world.wit"), world(service, wasi, granted))];
    for (path, text) in packages {
        let name = path.file_stem().unwrap_or_default();
        let file = path.file_name().unwrap_or_default();
        files.push((Path::new("deps").join(name).join(file), text.to_owned()));
    }
    files
}

/// All of it as one text, with the packages inside.
pub fn text(service: &str, wasi: Wasi, granted: Granted) -> String {
    let mut text = world(service, wasi, granted);
    for (_, package) in packages(wasi, granted) {
        text.push('\n');
        text.push_str(&nested(package));
    }
    text
}

fn packages(wasi: Wasi, granted: Granted) -> Vec<(&'static Path, &'static str)> {
    let base = match wasi {
        Wasi::P2 => "deps/wasi-0.2",
        Wasi::P3 => "deps/wasi-0.3",
    };
    let of = |folder: &str| INTERFACES.get_dir(folder).map(render::texts).unwrap_or_default();
    let mut packages = of(base);
    for (folder, is_granted) in [("postgres", granted.postgres), ("ollama", granted.ollama)] {
        if is_granted {
            packages.extend(of(folder));
        }
    }
    packages
}

fn world(service: &str, wasi: Wasi, granted: Granted) -> String {
    let version = |file: &str| {
        let text = INTERFACES.get_file(file).and_then(|file| file.contents_utf8());
        text.and_then(package).and_then(|(_, name)| name.split_once('@')).map_or("", |(_, it)| it)
    };
    let mut lines = Vec::new();
    let handler = match wasi {
        Wasi::P2 => {
            let http = version("deps/wasi-0.2/http.wit");
            lines.push(format!("import wasi:http/types@{http};"));
            if granted.calls {
                lines.push(format!("import wasi:http/outgoing-handler@{http};"));
            }
            format!("export wasi:http/incoming-handler@{http};")
        }
        Wasi::P3 => {
            let http = version("deps/wasi-0.3/http.wit");
            lines.push(format!("import wasi:http/types@{http};"));
            if granted.calls {
                lines.push(format!("import wasi:http/client@{http};"));
            }
            format!("export wasi:http/handler@{http};")
        }
    };
    if granted.postgres {
        let version = version("postgres/postgres.wit");
        lines.push(format!("import wasm-host:postgres/client@{version};"));
    }
    if granted.ollama {
        let version = version("ollama/ollama.wit");
        lines.push(format!("import wasm-host:ollama/inference@{version};"));
        lines.push(format!("import wasm-host:ollama/models@{version};"));
        // Its requests and responses are those of 0.3.
        if wasi == Wasi::P3 {
            lines.push(format!("import wasm-host:ollama/proxy@{version};"));
        }
    }
    lines.push(handler);
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "{WRITTEN}; the next time it takes the place of this.\npackage local:service;\n\n/// What the service {service} \
         is granted.\nworld {WORLD} {{\n{lines}}}\n"
    )
}

/// Where a file says which package it is, and what that is called.
fn package(text: &str) -> Option<(usize, &str)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(name) =
            line.trim_end().strip_prefix("package ").and_then(|it| it.strip_suffix(';'))
        {
            return Some((at, name));
        }
        at += line.len();
    }
    None
}

/// A package of a file of its own as one inside another file.
fn nested(text: &str) -> String {
    let Some((at, name)) = package(text) else { return text.to_owned() };
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    let body = rest.split_once('\n').map_or("", |(_, body)| body);
    format!("{before}package {name} {{\n{body}}}\n")
}
