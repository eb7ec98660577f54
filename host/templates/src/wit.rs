//! The interfaces that a service is granted: a world with those and no others, and the packages that it is made of.
//!
//! Tools differ in what they keep: some import all of a world into the component, used or not, so a world must have no
//! more than is granted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use crate::render;

static INTERFACES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

/// Where those are that no version of WASI has yet.
const DRAFTS: &str = "deps/wasi-drafts";

/// Folders of interfaces of no capability: those of WASI, of worlds, and of another host.
const OF_NO_CAPABILITY: [&str; 4] = ["deps", "service", "blocking-service", "spin"];

/// The interfaces of a package for toolchains that cannot import an `async func`, and what both kinds stand on.
const BLOCKING: &str = "blocking";
const TYPES: &str = "types";

/// The package of values that the application file has for a service.
const CONFIGURATION: &str = "config";

/// The first words of a world that this program wrote, which it may write anew.
pub const WRITTEN: &str = "// Written by `wasm-host wit";

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

/// Which of the interfaces that there are for one thing a toolchain can import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub wasi: Wasi,
    /// It cannot import an `async func`.
    pub is_blocking: bool,
}

/// What a service may import beside WASI's types of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted<'a> {
    /// The keys of the capabilities that it is granted. Their interfaces are in the folder of `wit` that is called so, or
    /// are drafts of WASI. Those that have neither are imported by other hosts' names, and are in no world.
    pub capabilities: &'a [&'a str],
    /// Values that the application file has for it.
    pub configuration: bool,
    /// Other services, or hosts outside.
    pub calls: bool,
}

/// A package of interfaces.
struct Package {
    folder: String,
    /// Names of files, with their texts.
    files: Vec<(String, &'static str)>,
}

impl Style {
    pub const ASYNC: Self = Self { wasi: Wasi::P3, is_blocking: false };
    pub const BLOCKING: Self = Self { wasi: Wasi::P3, is_blocking: true };

    /// The style of a world that this program wrote.
    pub fn of(world: &str) -> Option<Self> {
        let line = world.lines().next()?;
        let all = [Wasi::P2, Wasi::P3]
            .map(|wasi| [false, true].map(|is_blocking| Self { wasi, is_blocking }));
        all.into_iter().flatten().find(|style| line.starts_with(&style.first_words()))
    }

    fn first_words(self) -> String {
        let wasi = match self.wasi {
            Wasi::P2 => "0.2",
            Wasi::P3 => "0.3",
        };
        let blocking = if self.is_blocking { " --blocking" } else { "" };
        format!("{WRITTEN} --wasi {wasi}{blocking}`;")
    }
}

/// `world.wit`, and below `deps` the packages, each in a folder of its own, as most tools look for them.
pub fn files(service: &str, style: Style, granted: Granted<'_>) -> Vec<(PathBuf, String)> {
    let mut files = vec![(PathBuf::from("world.wit"), world(service, style, granted))];
    for package in packages(style, granted) {
        let folder = Path::new("deps").join(&package.folder);
        let of_package = package.files.iter();
        files.extend(of_package.map(|(file, text)| (folder.join(file), (*text).to_owned())));
    }
    files
}

/// All of it as one text, with the packages inside.
pub fn text(service: &str, style: Style, granted: Granted<'_>) -> String {
    let mut text = world(service, style, granted);
    for package in packages(style, granted) {
        text.push('\n');
        text.push_str(&nested(&package));
    }
    text
}

/// The folders below `deps` of all that any service can be granted.
pub fn folders() -> BTreeSet<String> {
    let capabilities = capabilities();
    let granted = Granted { capabilities: &capabilities, configuration: true, calls: true };
    let styles = [Wasi::P2, Wasi::P3].map(|wasi| Style { wasi, is_blocking: false });
    let packages = styles.into_iter().flat_map(|style| packages(style, granted));
    packages.map(|package| package.folder).collect()
}

fn packages(style: Style, granted: Granted<'_>) -> Vec<Package> {
    let base = match style.wasi {
        Wasi::P2 => "deps/wasi-0.2",
        Wasi::P3 => "deps/wasi-0.3",
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let of = |folder: &str| INTERFACES.get_dir(folder).map(render::texts).unwrap_or_default();
    let mut packages: Vec<Package> = Vec::new();
    for (path, text) in of(base) {
        let folder = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        packages.push(Package { folder, files: vec![(name(path), text)] });
    }
    for folder in own(granted) {
        let files = of(folder).into_iter().map(|(path, text)| (name(path), text));
        // The others cannot be read by every tool that imports none of them.
        let is_read = |file: &str| !style.is_blocking || [BLOCKING, TYPES].contains(&stem(file));
        let files: Vec<_> = files.filter(|(file, _)| is_read(file)).collect();
        packages.push(Package { folder: folder.to_owned(), files });
    }
    for (folder, file) in drafts(granted) {
        let text = INTERFACES.get_file(format!("{DRAFTS}/{file}"));
        let text = text.and_then(|file| file.contents_utf8()).unwrap_or_default();
        packages.push(Package { folder: folder.to_owned(), files: vec![(file, text)] });
    }
    packages
}

/// The capabilities that have interfaces here: packages of their own, and drafts of WASI.
fn capabilities() -> Vec<&'static str> {
    let drafts = INTERFACES.get_dir(DRAFTS).map(render::texts).unwrap_or_default();
    let drafts = drafts.into_iter().filter_map(|(path, _)| path.file_stem()?.to_str());
    own_packages().chain(drafts.filter_map(|draft| Some(draft.split_once('-')?.0))).collect()
}

/// The folders of all capabilities with packages of their own.
pub(crate) fn own_packages() -> impl Iterator<Item = &'static str> {
    let folders = INTERFACES.dirs().filter_map(|folder| folder.path().to_str());
    folders.filter(|folder| !OF_NO_CAPABILITY.contains(folder))
}

/// Of what is granted, that with a package of its own.
fn own<'a>(granted: Granted<'a>) -> impl Iterator<Item = &'a str> {
    granted.capabilities.iter().copied().filter(|key| own_packages().any(|own| own == *key))
}

/// Of what is granted, the packages that are in no version of WASI yet, each with its file: the newest draft, whose name is
/// the last in the alphabet.
fn drafts<'a>(granted: Granted<'a>) -> impl Iterator<Item = (&'a str, String)> {
    let configuration = granted.configuration.then_some(CONFIGURATION);
    let packages = granted.capabilities.iter().copied().chain(configuration);
    packages.filter_map(|package| {
        let drafts = INTERFACES.get_dir(DRAFTS).map(render::texts).unwrap_or_default();
        let names = drafts.into_iter().filter_map(|(path, _)| path.file_name()?.to_str());
        let of_package = |name: &&str| name.split_once('-').is_some_and(|(of, _)| of == package);
        Some((package, names.filter(of_package).max()?.to_owned()))
    })
}

/// The name of a file of interfaces without its ending.
fn stem(file: &str) -> &str {
    file.strip_suffix(".wit").unwrap_or(file)
}

fn world(service: &str, style: Style, granted: Granted<'_>) -> String {
    let lines: String = lines(style, granted).iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "{} the next time it takes the place of this.\npackage local:service;\n\n/// What the service {service} is \
         granted.\nworld {WORLD} {{\n{lines}}}\n",
        style.first_words()
    )
}

/// What stands in the world.
fn lines(style: Style, granted: Granted<'_>) -> Vec<String> {
    let (http, handler, client) = match style.wasi {
        Wasi::P2 => ("deps/wasi-0.2", "incoming-handler", "outgoing-handler"),
        Wasi::P3 => ("deps/wasi-0.3", "handler", "client"),
    };
    let http = version(http, "http.wit");
    let mut lines = vec![format!("import wasi:http/types@{http};")];
    if granted.calls {
        lines.push(format!("import wasi:http/{client}@{http};"));
    }
    for folder in own(granted) {
        let version = version(folder, &format!("{folder}.wit"));
        let interfaces = interfaces(folder, style.is_blocking);
        let imports =
            interfaces.iter().map(|it| format!("import wasm-host:{folder}/{it}@{version};"));
        lines.extend(imports);
    }
    for (package, file) in drafts(granted) {
        let version = version(DRAFTS, &file);
        lines.push(format!("include wasi:{package}/imports@{version};"));
    }
    lines.push(format!("export wasi:http/{handler}@{http};"));
    lines
}

/// What a component of one style imports of a package, in alphabetical order.
fn interfaces(folder: &str, is_blocking: bool) -> BTreeSet<&'static str> {
    let files = INTERFACES.get_dir(folder).map(render::texts).unwrap_or_default();
    let lines = files.into_iter().flat_map(|(_, text)| text.lines());
    let names = lines.filter_map(|line| line.strip_prefix("interface ")?.split(' ').next());
    names.filter(|name| *name != TYPES && (*name == BLOCKING) == is_blocking).collect()
}

/// Of the package in a file of the program.
fn version(folder: &str, file: &str) -> &'static str {
    let file = INTERFACES.get_file(format!("{folder}/{file}"));
    let name = file.and_then(|file| package(file.contents_utf8()?)).map(|(_, name)| name);
    name.and_then(|name| name.split_once('@')).map_or("", |(_, version)| version)
}

/// Where a file says which package it is, and what that is called.
fn package(text: &str) -> Option<(usize, &str)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let name = line.trim_end().strip_prefix("package ");
        if let Some(name) = name.and_then(|it| it.strip_suffix(';')) {
            return Some((at, name));
        }
        at += line.len();
    }
    None
}

/// A package of files of its own as one inside another file.
fn nested(of: &Package) -> String {
    let (mut before, mut bodies, mut named) = (String::new(), String::new(), "");
    for (_, text) in &of.files {
        let Some((at, name)) = package(text) else {
            bodies.push_str(text);
            continue;
        };
        let (documentation, rest) = text.split_at_checked(at).unwrap_or((text, ""));
        // What stands above is about all of it, and stands once.
        if before.is_empty() {
            before.push_str(documentation);
        }
        named = name;
        bodies.push_str(rest.split_once('\n').map_or("", |(_, body)| body));
    }
    format!("{before}package {named} {{\n{bodies}}}\n")
}
