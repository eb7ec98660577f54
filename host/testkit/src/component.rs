//! The component under test: found by name, folder or file, compiled once, linked to everything that it imports.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use wasmtime_wasi_http::handler::ProxyPre;

use crate::case::{Case, Matching};
use crate::fake::database::FakeDatabase;
use crate::fake::function::FakeFunctions;
use crate::fake::server::{FakeOllama, FakePeers};
use crate::script::Script;
use wasm_host_capabilities::function::Seam;
use wasm_host_capabilities::granted::Granted;
use wasm_host_capabilities::ollama::{Client, Ollama, Options};
use wasm_host_capabilities::postgres::Postgres;
use wasm_host_capabilities::{ALL, AnyCapability};
use wasm_host_engine::Engine;
use wasm_host_engine::compile::{CodeCache, Compiler, ComponentFile, compile_now};
use wasm_host_engine::link::link;
use wasm_host_engine::memory::Budget;
use wasm_host_engine::output::LogRate;
use wasm_host_engine::state::{Grants, StoreData};
use wasm_host_limits::host::HostLimits;
use wasm_host_system::digest::Digest;

/// What every test of a process shares: the engine, and the folder where compiled code is kept.
pub struct Kit {
    engine: Arc<Engine>,
    cache: Arc<CodeCache>,
    /// None: the process is not the host, and compiles in itself.
    compiler: Option<Compiler>,
}

/// A component that is ready to be tested. Every test gets an instance of its own.
pub struct Component {
    pub path: PathBuf,
    pub digest: Digest,
    pub(super) engine: Engine,
    pre: Arc<ProxyPre<StoreData>>,
}

impl Kit {
    /// # Errors
    /// The engine does not start on this machine.
    pub fn new() -> Result<Self> {
        let engine = Arc::new(Engine::new(HostLimits::instances().default)?);
        Ok(Self { engine, cache: Arc::new(CodeCache::of_user()), compiler: None })
    }

    /// The same for the host's own commands.
    ///
    /// # Errors
    /// The engine does not start on this machine.
    pub fn of_host() -> Result<Self> {
        Ok(Self { compiler: Some(Compiler::new(HostLimits::default())?), ..Self::new()? })
    }

    /// Read, compile or take from the cache, and link.
    ///
    /// # Errors
    /// The file cannot be read, is no component, is no service, or imports what this host does not have.
    pub fn load(&self, path: &Path) -> Result<Component> {
        self.load_file(&ComponentFile::read_now(path)?)
    }

    /// The same of a component that was read, or put together from others.
    ///
    /// # Errors
    /// As [`Kit::load`].
    pub fn load_file(&self, file: &ComponentFile) -> Result<Component> {
        let component = match &self.compiler {
            Some(compiler) => compiler.compile_now(&self.engine, &self.cache, file)?,
            None => compile_now(&self.engine, &self.cache, file)?,
        };
        let script = Script::new(Matching::Strict, Vec::new());
        let pre = link(&self.engine, &component, &grants(script, &[], &BTreeMap::new(), None))
            .map_err(|refusal| refusal.of_parts(&file.parts))
            .with_context(|| format!("{} cannot be tested", file.path.display()))?;
        let engine = Engine::clone(&self.engine);
        Ok(Component { path: file.path.clone(), digest: file.digest.clone(), engine, pre })
    }
}

impl Component {
    /// What instances are made from.
    pub(super) fn pre(&self) -> Arc<ProxyPre<StoreData>> {
        self.pre.clone()
    }
}

/// Everything that this host can grant, answered by a script.
pub(super) fn grants(
    script: Script,
    environment: &[(String, String)],
    configuration: &BTreeMap<String, String>,
    case: Option<(&Case, Arc<dyn wasm_host_engine::state::InstanceEnvironment>)>,
) -> Grants {
    let transport = Arc::new(FakeOllama(script.clone()));
    let options = match &case {
        None => Options::default(),
        Some((case, _)) => Options {
            calls: case.ollama.concurrent,
            // A case has one request, which would wait for itself.
            queue: 0,
            first_byte: case.ollama.first_byte_timeout,
            ..Options::default()
        },
    };
    let granted = Granted::default()
        .with::<Postgres>(Arc::new(FakeDatabase(script.clone())))
        .with::<Ollama>(Arc::new(Client::new(transport, options)));
    let functions: Arc<dyn Seam> = Arc::new(FakeFunctions(script.clone()));
    let scripted = |granted, capability: &&'static dyn AnyCapability| {
        capability.scripted(functions.clone(), granted)
    };
    Grants {
        service: "component".into(),
        granted: ALL.iter().fold(granted, scripted),
        peers: Arc::new(FakePeers(script)),
        memory: Budget::new(usize::MAX),
        processor_time: Arc::default(),
        log: LogRate::new("component".into(), usize::MAX, usize::MAX),
        environment: environment.to_vec(),
        configuration: Arc::new(configuration.clone()),
        instance_environment: case.map(|(_, environment)| environment),
    }
}

/// Where a component's file is, and where its cases are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentPaths {
    pub name: String,
    pub component: PathBuf,
    /// `cases` in the component's folder. None for a file, which says nothing of cases.
    pub cases: Option<PathBuf>,
}

impl ComponentPaths {
    /// Find a component by its file (`.wasm`) or by the folder of its sources, whose build is looked for
    /// as `target/components/NAME.wasm`, then where cargo leaves it, there and in the folders above.
    ///
    /// # Errors
    /// There is no such file or folder, or it is not built.
    pub fn of(path: &Path) -> Result<Self> {
        let name = |path: &Path| {
            path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        if !path.exists() {
            bail!("there is no {}; give a component's folder or its .wasm file", path.display());
        }
        if !path.is_dir() {
            return Ok(Self { name: name(path), component: path.to_path_buf(), cases: None });
        }
        let folder = path.canonicalize().with_context(|| path.display().to_string())?;
        let package = package(&folder).unwrap_or_else(|| name(&folder));
        let component = built(&folder, &package)?;
        // As it was given, which is how people know it.
        let cases = Some(path.join("cases"));
        Ok(Self { name: package, component, cases })
    }

    /// Find the build of a component by its package's name, from the working directory upwards; anything with a `/`
    /// or an ending in `.wasm` is a path.
    ///
    /// # Errors
    /// As [`ComponentPaths::of`].
    pub fn named(name: &str) -> Result<Self> {
        if name.contains('/') || name.ends_with(".wasm") {
            return Self::of(Path::new(name));
        }
        let component = built(&env::current_dir()?, name)?;
        Ok(Self { name: name.to_string(), component, cases: None })
    }
}

/// Where builds of a component may be: where `cargo xtask guests` or another build puts them, and where cargo does.
/// A library's file has `_` for `-`.
fn places(name: &str) -> [String; 3] {
    let of_cargo = |name: &str| format!("target/wasm32-wasip2/release/{name}.wasm");
    [format!("target/components/{name}.wasm"), of_cargo(name), of_cargo(&name.replace('-', "_"))]
}

fn built(folder: &Path, name: &str) -> Result<PathBuf> {
    let places = places(name);
    let mut all = folder.ancestors().flat_map(|above| places.iter().map(|file| above.join(file)));
    let found = all.find(|path| path.is_file());
    let [ours, .., of_cargo] = places;
    found.with_context(|| {
        format!(
            "the component {name} is not built: there is neither {ours} nor {of_cargo} in {} or above; run `cargo \
             build --release --target wasm32-wasip2` (in the repository of wasm-host `cargo xtask guests`), or give \
             the .wasm file itself",
            folder.display()
        )
    })
}

/// The name of the package in a folder, which its build is called by.
fn package(folder: &Path) -> Option<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let manifest: toml::Table = manifest.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_found_by_its_folder_its_name_or_its_file() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("components/weather");
        fs::create_dir_all(&folder).unwrap();
        let error = ComponentPaths::of(&folder).unwrap_err().to_string();
        assert!(error.contains("the component weather is not built"), "{error}");
        fs::write(folder.join("Cargo.toml"), "[package]\nname = \"forecast\"\n").unwrap();
        fs::create_dir_all(root.path().join("target/components")).unwrap();
        let file = root.path().join("target/components/forecast.wasm");
        fs::write(&file, "").unwrap();
        let place = ComponentPaths::of(&folder).unwrap();
        assert_eq!(place.name, "forecast");
        assert_eq!(place.component.file_name(), file.file_name());
        assert_eq!(place.cases, Some(folder.join("cases")));
        assert_eq!(ComponentPaths::of(&file).unwrap().cases, None);
        // As cargo alone leaves it.
        fs::write(folder.join("Cargo.toml"), "[package]\nname = \"of-ours\"\n").unwrap();
        let of_cargo = folder.join("target/wasm32-wasip2/release");
        fs::create_dir_all(&of_cargo).unwrap();
        fs::write(of_cargo.join("of_ours.wasm"), "").unwrap();
        assert!(ComponentPaths::of(&folder).unwrap().component.ends_with("release/of_ours.wasm"));
        assert!(ComponentPaths::of(Path::new("gone.wasm")).is_err());
    }
}
