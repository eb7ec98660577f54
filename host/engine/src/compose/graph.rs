//! Which import of which part is served by which other part, and the component that comes of it.

use std::collections::{BTreeMap, BTreeSet};

use wac_graph::types::{InterfaceId, ItemKind, Package, are_semver_compatible};
use wac_graph::{CompositionGraph, EncodeError, EncodeOptions, NodeId, PackageId};

use super::circle::circle;
use super::fault::{At, Fault, Faults};
use super::{Part, Role};
use crate::link::is_handler;
use wasm_host_limits as limits;

/// What came of the parts.
pub(crate) struct Composed {
    pub(crate) bytes: Vec<u8>,
    /// What each part imports and no other part serves.
    pub(crate) imports: Vec<Vec<String>>,
}

/// An import of a part and the export of another one that serves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wire {
    pub(super) to: usize,
    import: String,
    pub(super) from: usize,
    export: String,
    /// The key that asks for it. None: a middleware's handler.
    key: Option<String>,
}

/// A key that would have a part serve an import. The first of several is the one that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim<'a> {
    why: Why,
    from: usize,
    export: &'a str,
    key: &'a str,
}

/// By what right: what says more of the import comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// The key names this version.
    Exact,
    /// It names a compatible one.
    Compatible,
    /// It names none.
    General,
    /// What it names takes types from there.
    Types,
}

impl Why {
    fn of(key: &str, import: &str) -> Self {
        match key {
            _ if key == import => Self::Exact,
            _ if key.contains('@') => Self::Compatible,
            _ => Self::General,
        }
    }
}

/// The parts as the library knows them.
struct Parts<'a> {
    parts: &'a [Part],
    graph: CompositionGraph,
    packages: Vec<PackageId>,
}

pub(crate) fn compose(parts: &[Part]) -> Result<Composed, Faults> {
    let mut all = Parts::read(parts)?;
    let mut faults = Vec::new();
    let chain = all.chain(&mut faults);
    let served = all.served(&mut faults);
    let wires: BTreeSet<Wire> = chain.wires.into_iter().chain(served).collect();
    if let Some(circle) = circle(&wires, parts.len()) {
        let names: Vec<_> = circle.iter().map(|number| all.path(*number)).collect();
        let message = format!("{} serve each other in a circle", names.join(", "));
        let hint = "take one of them out of `with`: a part is there before what it serves";
        faults.push(Fault::new(At::Part(circle.first().copied().unwrap_or(0)), message, hint));
    }
    match chain.handler {
        Some((outermost, handler)) if faults.is_empty() => {
            let bytes = all.encode(&wires, outermost, &handler)?;
            let imports = (0..parts.len()).map(|part| all.unserved(part, &wires)).collect();
            Ok(Composed { bytes, imports })
        }
        _ => Err(Faults::all(faults)),
    }
}

/// The handlers from the outermost part to the service.
#[derive(Default)]
struct Chain {
    wires: Vec<Wire>,
    /// What the whole exports, and of which part.
    handler: Option<(usize, String)>,
}

impl<'a> Parts<'a> {
    fn read(parts: &'a [Part]) -> Result<Self, Faults> {
        let mut graph = CompositionGraph::new();
        let mut packages = Vec::new();
        let mut known: BTreeMap<&str, PackageId> = BTreeMap::new();
        let mut faults = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            // A file that is two parts is in the composition once.
            if let Some(package) = known.get(&*part.digest) {
                packages.push(*package);
                continue;
            }
            match register(&mut graph, number, part) {
                Ok(package) => {
                    known.insert(&part.digest, package);
                    packages.push(package);
                }
                Err(error) => {
                    let message = format!("{} cannot be a part: {error:#}", part.path);
                    faults.push(Fault { at: At::Part(number), message, hint: None });
                }
            }
        }
        if faults.is_empty() {
            Ok(Self { parts, graph, packages })
        } else {
            Err(Faults::all(faults))
        }
    }

    fn path(&self, part: usize) -> &str {
        self.parts.get(part).map_or("", |part| &part.path)
    }

    fn imports(&self, part: usize) -> impl Iterator<Item = (&str, ItemKind)> {
        let package = self.packages.get(part);
        let world = package.map(|package| &self.graph.types()[self.graph[*package].ty()]);
        world.into_iter().flat_map(|world| &world.imports).map(|(name, kind)| (&**name, *kind))
    }

    fn exports(&self, part: usize) -> impl Iterator<Item = &str> {
        let package = self.packages.get(part);
        let world = package.map(|package| &self.graph.types()[self.graph[*package].ty()]);
        world.into_iter().flat_map(|world| world.exports.keys()).map(|name| &**name)
    }

    /// The export of a part that can serve an import: of that very version, or of one that is compatible.
    fn export_for(&self, part: usize, import: &str) -> Option<&str> {
        let exact = self.exports(part).find(|export| *export == import);
        exact.or_else(|| self.exports(part).find(|export| are_semver_compatible(export, import)))
    }

    /// Whether more than types is imported. Toolchains import the types of what a component exports as well.
    fn has_functions(&self, kind: ItemKind) -> bool {
        match kind {
            ItemKind::Instance(id) => {
                let mut exports = self.graph.types()[id].exports.values();
                exports.any(|kind| !matches!(kind, ItemKind::Type(_)))
            }
            ItemKind::Type(_) => false,
            _ => true,
        }
    }

    /// Let each middleware call what is behind it.
    fn chain(&self, faults: &mut Vec<Fault>) -> Chain {
        let is_behind = |role: &Role| matches!(role, Role::Service);
        let Some(service) = self.parts.iter().position(|part| is_behind(&part.role)) else {
            faults.push(Fault {
                at: At::Whole,
                message: "no part is the service".to_owned(),
                hint: None,
            });
            return Chain::default();
        };
        let Some(handler) = self.exports(service).find(|export| is_handler(export)) else {
            let message = format!(
                "{} is no service: it exports {}; a service exports wasi:http/handler@0.3 or \
                 wasi:http/incoming-handler@0.2",
                self.path(service),
                some(self.exports(service)),
            );
            faults.push(Fault { at: At::Part(service), message, hint: None });
            return Chain::default();
        };
        let (mut behind, mut handler, mut wires) = (service, handler, Vec::new());
        let first = faults.len();
        for number in (0..service).rev() {
            match self.in_front(number, handler) {
                Ok((import, export)) => {
                    wires.push(Wire {
                        to: number,
                        import: import.to_owned(),
                        from: behind,
                        export: handler.to_owned(),
                        key: None,
                    });
                    (behind, handler) = (number, export);
                }
                Err(fault) => faults.push(fault),
            }
        }
        // As they are written: the outermost first.
        faults.get_mut(first..).unwrap_or_default().reverse();
        Chain { wires, handler: Some((behind, handler.to_owned())) }
    }

    /// What a middleware imports of what is behind it, and exports instead.
    fn in_front(&self, middleware: usize, handler: &str) -> Result<(&str, &str), Fault> {
        let path = self.path(middleware);
        let mut imports = self.imports(middleware);
        let import = imports
            .find(|(name, kind)| are_semver_compatible(name, handler) && self.has_functions(*kind));
        let export = self.export_for(middleware, handler);
        let (message, hint) = match (import, export) {
            (Some((import, _)), Some(export)) => return Ok((import, export)),
            (None, Some(export)) => (
                format!("{path} is no middleware: it exports {export} and does not import it"),
                "a middleware imports what it exports, which is how it hands requests on",
            ),
            _ => match self.exports(middleware).find(|export| is_handler(export)) {
                Some(other) => (
                    format!("{path} is of {other}, and what is behind it of {handler}"),
                    "build the middleware for the interface of its service: the host translates none",
                ),
                None => (
                    format!("{path} is no middleware: it does not export {handler}"),
                    "a middleware exports and imports the handler of the service behind it",
                ),
            },
        };
        Err(Fault::new(At::Part(middleware), message, hint))
    }

    /// Let parts be served by those that are there for that.
    fn served(&self, faults: &mut Vec<Fault>) -> Vec<Wire> {
        let mut claims: BTreeMap<(usize, &str), BTreeSet<Claim<'_>>> = BTreeMap::new();
        let mut claim = |to, import, claim| {
            claims.entry((to, import)).or_default().insert(claim);
        };
        let mut used = BTreeSet::new();
        for (from, part) in self.parts.iter().enumerate() {
            for key in part.serves() {
                let mut is_meant = false;
                let others = (0..self.parts.len()).filter(|to| *to != from);
                let wanted = others.flat_map(|to| self.imports(to).map(move |it| (to, it)));
                for (to, (import, kind)) in wanted.filter(|(_, (name, _))| matches(key, name)) {
                    is_meant = true;
                    match self.export_for(from, import) {
                        Some(export) => {
                            let why = Why::of(key, import);
                            claim(to, import, Claim { why, from, export, key });
                            for (import, export) in self.types_of(kind, to, from) {
                                claim(to, import, Claim { why: Why::Types, from, export, key });
                            }
                        }
                        None => {
                            // All the same to the next import.
                            used.insert(key.as_str());
                            tell(faults, || self.unexported(key, from, Some((to, import))));
                        }
                    }
                }
                if !is_meant {
                    used.insert(key.as_str());
                    let is_exported = self.exports(from).any(|export| matches(key, export));
                    tell(faults, || match is_exported {
                        true => self.unused(key, from),
                        false => self.unexported(key, from, None),
                    });
                }
            }
        }
        let mut wires = Vec::new();
        for ((to, import), claims) in claims {
            let Some(first) = claims.first() else { continue };
            used.insert(first.key);
            let rivals = claims.iter().filter(|it| it.why == first.why && it.from != first.from);
            for (number, rival) in rivals.enumerate() {
                // They are told as rivals, and not as unused as well.
                used.insert(rival.key);
                if number == 0 {
                    tell(faults, || self.rivals(to, import, first, rival));
                }
            }
            wires.push(wire(to, import, first.from, first.export, first.key));
        }
        for (from, part) in self.parts.iter().enumerate() {
            for key in part.serves().iter().filter(|key| !used.contains(key.as_str())) {
                let path = self.path(from);
                let message =
                    format!("other keys serve all that {key} means, and {path} has nothing to do");
                tell(faults, || Fault::new(At::Key(key.clone()), message, "remove it"));
            }
        }
        wires
    }

    /// What an interface takes its types from comes from the same part, as far as that has it: imports and exports.
    fn types_of(&self, kind: ItemKind, to: usize, from: usize) -> Vec<(&str, &str)> {
        let ItemKind::Instance(id) = kind else { return Vec::new() };
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        let mut open: Vec<InterfaceId> = vec![id];
        while let Some(id) = open.pop() {
            for used in self.graph.types()[id].uses.values() {
                let Some(name) = &self.graph.types()[used.interface].id else { continue };
                if !seen.insert(name.clone()) {
                    continue;
                }
                open.push(used.interface);
                let import =
                    self.imports(to).find(|(import, _)| are_semver_compatible(import, name));
                if let Some((import, _)) = import
                    && let Some(export) = self.export_for(from, import)
                {
                    found.push((import, export));
                }
            }
        }
        found
    }

    /// Two parts that would serve one import with equal right.
    fn rivals(&self, to: usize, import: &str, first: &Claim<'_>, second: &Claim<'_>) -> Fault {
        let serves = match first.why {
            Why::Types => "both serve what takes its types from",
            Why::Exact | Why::Compatible | Why::General => "both serve",
        };
        let message = format!(
            "{} and {} {serves} {import}, which {} imports: {} and {}",
            first.key,
            second.key,
            self.path(to),
            self.path(first.from),
            self.path(second.from),
        );
        let hint =
            format!("name {import} itself in `with`, with the component that is to serve it");
        Fault::new(At::Key(second.key.to_owned()), message, &hint)
    }

    fn unexported(&self, key: &str, from: usize, wanted: Option<(usize, &str)>) -> Fault {
        let exports = some(self.exports(from));
        let path = self.path(from);
        let (message, hint) = match wanted {
            Some((to, import)) => (
                format!("{} imports {import}, and {path} exports {exports}", self.path(to)),
                "name a component that exports what is imported, in a compatible version",
            ),
            None => (
                format!("{path} does not export {key}: it exports {exports}"),
                "name a component that exports it",
            ),
        };
        Fault::new(At::Key(key.to_owned()), message, hint)
    }

    fn unused(&self, key: &str, from: usize) -> Fault {
        let all: BTreeSet<_> = (0..self.parts.len())
            .filter(|to| *to != from)
            .flat_map(|to| self.imports(to))
            .filter(|(name, kind)| !name.starts_with("wasi:") && self.has_functions(*kind))
            .map(|(name, _)| name)
            .collect();
        let message = format!("no part imports {key}, which {} is to serve", self.path(from));
        let hint = match all.is_empty() {
            true => "remove it".to_owned(),
            false => format!("remove it, or name what is imported: {}", some(all)),
        };
        Fault::new(At::Key(key.to_owned()), message, &hint)
    }

    /// What a part imports from outside.
    fn unserved(&self, part: usize, wires: &BTreeSet<Wire>) -> Vec<String> {
        let is_served =
            |import: &str| wires.iter().any(|wire| wire.to == part && wire.import == import);
        let imports = self.imports(part).filter(|(name, _)| !is_served(name));
        imports.map(|(name, _)| name.to_owned()).collect()
    }

    fn encode(
        &mut self,
        wires: &BTreeSet<Wire>,
        outermost: usize,
        handler: &str,
    ) -> Result<Vec<u8>, Faults> {
        let packages = self.packages.clone();
        let nodes: Vec<NodeId> =
            packages.into_iter().map(|package| self.graph.instantiate(package)).collect();
        let mut faults = Vec::new();
        for wire in wires {
            let (Some(from), Some(to)) = (nodes.get(wire.from), nodes.get(wire.to)) else {
                continue;
            };
            if let Err(error) = connect(&mut self.graph, *from, *to, wire) {
                let message = format!(
                    "{} of {} is not what {} imports: {error:#}",
                    wire.export,
                    self.path(wire.from),
                    self.path(wire.to),
                );
                let at = wire.key.clone().map_or(At::Part(wire.to), At::Key);
                faults.push(Fault { at, message, hint: None });
            }
        }
        if !faults.is_empty() {
            return Err(Faults::all(faults));
        }
        let whole = |message: String| Faults::of(At::Whole, message);
        let Some(outermost) = nodes.get(outermost) else {
            return Err(whole("no part is the outermost".to_owned()));
        };
        let exported = self.graph.alias_instance_export(*outermost, handler);
        let exported = exported.map_err(|error| whole(error.to_string()))?;
        self.graph.export(exported, handler).map_err(|error| whole(error.to_string()))?;
        self.graph
            .encode(EncodeOptions::default())
            .map_err(|error| whole(self.unencoded(error, &nodes)))
    }

    /// Why the parts do not fit together, with the parts that do not.
    fn unencoded(&self, error: EncodeError, nodes: &[NodeId]) -> String {
        let path = |node: NodeId| {
            let number = nodes.iter().position(|other| *other == node);
            number.map_or("a part", |number| self.path(number))
        };
        match error {
            EncodeError::ImportTypeMergeConflict { import, first, second, source } => format!(
                "{} and {} import {import} in ways that do not fit together: {source:#}",
                path(first),
                path(second),
            ),
            EncodeError::ValidationFailure { source } => {
                format!("its parts do not fit together: {}", source.message())
            }
            error => format!("its parts do not fit together: {error}"),
        }
    }
}

fn register(graph: &mut CompositionGraph, number: usize, part: &Part) -> anyhow::Result<PackageId> {
    let bytes = part.bytes.as_deref().ok_or_else(|| anyhow::anyhow!("its file is not there"))?;
    // Names that people gave to their files are not what the library takes for names.
    let name = format!("part:number{number}");
    let package = Package::from_bytes(&name, None, bytes, graph.types_mut())?;
    Ok(graph.register_package(package)?)
}

fn connect(
    graph: &mut CompositionGraph,
    from: NodeId,
    to: NodeId,
    wire: &Wire,
) -> anyhow::Result<()> {
    let export = graph.alias_instance_export(from, &wire.export)?;
    graph.set_instantiation_argument(to, &wire.import, export)?;
    Ok(())
}

fn wire(to: usize, import: &str, from: usize, export: &str, key: &str) -> Wire {
    let (import, export) = (import.to_owned(), export.to_owned());
    Wire { to, import, from, export, key: Some(key.to_owned()) }
}

/// One fault for each key and reason, and no more than are told: there may be a fault for each of a million imports.
fn tell(faults: &mut Vec<Fault>, fault: impl FnOnce() -> Fault) {
    if faults.len() > limits::COMPOSITION_FAULTS {
        return;
    }
    let fault = fault();
    if !faults.contains(&fault) {
        faults.push(fault);
    }
}

/// Names, as many of them as are read.
fn some<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let first: Vec<_> = names.by_ref().take(limits::COMPOSITION_NAMES).collect();
    match (first.as_slice(), names.count()) {
        ([], _) => "nothing".to_owned(),
        (first, 0) => first.join(", "),
        (first, more) => format!("{} and {more} more", first.join(", ")),
    }
}

/// Whether a key of the application file means this interface: without a version it means all of them, with one those
/// that are compatible.
fn matches(key: &str, name: &str) -> bool {
    match key.contains('@') {
        true => are_semver_compatible(key, name),
        false => name.split('@').next() == Some(key),
    }
}
