//! Capabilities: what a component can be granted beside plain WASI.
//!
//! Each capability is a folder with the same parts: `settings`, its tables of the application file; the backend trait
//! that the rest of the host and the tests see, and the real backend; `bindings`, its WIT as Rust types; and `host`,
//! which connects the trait to the WIT interface and tells the rest of the host what there is to know of it
//! ([`Capability`]), and how its calls are scripted and recorded ([`function`]). Statements and HTTP have forms of their
//! own in cases, for which the test kit and the recorder know Postgres, Ollama and outgoing HTTP by name.
//!
//! Capabilities know the request on whose behalf a guest calls ([`context`]) and the instance that it calls from
//! ([`instance`]), but nothing of engines, services or HTTP routing.

pub mod backend;
pub mod body;
pub mod breaker;
pub mod budget;
pub mod caught;
pub mod configuration;
pub mod context;
pub mod figures;
pub mod function;
pub mod granted;
pub mod header_sets;
pub mod headers;
pub mod instance;
pub mod journal;
pub mod keyvalue;
pub mod ollama;
pub mod outgoing;
mod places;
pub mod postgres;
pub mod reader;
pub mod spin;
pub mod sql;
pub mod sqlite;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod transport;
pub mod until;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use anyhow::Context as _;
use toml::de::DeTable;
use wasmtime::component::Linker;

use self::backend::{Backend, Host};
use self::figures::Figure;
use self::function::Seam;
use self::granted::Granted;
use self::instance::HasInstance;
use wasm_host_settings::context::{Context, Span};
use wasm_host_settings::resource::{Declared, Resource};

/// Something that the application file can grant to a component. Each folder implements it once.
pub trait Capability: Sync + 'static {
    /// The key of `[service.NAME]` that grants it.
    const KEY: &'static str;

    /// The WIT package that a component imports to use it.
    const PACKAGE: &'static str;

    /// The interfaces of the package that a component may import, for each version that fits. None of them: they are of
    /// another host, and linked apart.
    const INTERFACES: &'static [(&'static str, &'static [&'static str])];

    /// Well-known interfaces that no host or another one has, by how their names begin, each with what to do here instead.
    const INSTEAD_OF: &'static [(&'static str, &'static str)] = &[];

    /// Whether a service may be granted several.
    const SEVERAL: bool = false;

    /// What `[KEY.<name>]` says.
    type Settings: Resource;

    /// What a service has that is granted it.
    type Grant: Clone + Send + Sync + 'static;

    /// Read one table `[KEY.<name>]`.
    fn read<'t>(
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Declared<Self::Settings>;

    /// Make a backend of it. It connects once it is used.
    ///
    /// # Errors
    /// What the application file says cannot be used after all.
    fn connect(
        settings: &Self::Settings,
        name: &str,
        host: &dyn Host,
    ) -> anyhow::Result<Box<dyn Backend>>;

    /// Link all interfaces of the package.
    ///
    /// # Errors
    /// The linker has them already.
    fn link<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()>;

    /// Where the calls of a service to the backend of a table are counted, by the name of the table.
    fn figures(name: &str) -> Vec<Figure>;

    /// A url of the form that its tables take, of a server of this name: for a file that is read where its secrets are not
    /// known. None: they take none.
    fn url_of(_server: &str) -> Option<String> {
        None
    }

    /// The interfaces of the package whose functions are no `async func`, by name: while one of them waits, so does the
    /// whole instance that calls it.
    const BLOCKING: &'static [&'static str] = &[];

    /// A grant whose functions are called through a seam: in front of `backend`, or in place of one. None for a
    /// capability whose calls have a form of their own in cases.
    fn with_seam(_seam: Arc<dyn Seam>, _backend: Option<Self::Grant>) -> Option<Self::Grant> {
        None
    }
}

/// Any capability, for code that goes over all of them.
pub trait AnyCapability: Sync {
    /// [`Capability::KEY`]
    fn key(&self) -> &'static str;

    /// [`Capability::PACKAGE`]
    fn package(&self) -> &'static str;

    /// [`Capability::INTERFACES`]
    fn interfaces(&self) -> &'static [(&'static str, &'static [&'static str])];

    /// [`Capability::INSTEAD_OF`]
    fn instead_of(&self) -> &'static [(&'static str, &'static str)];

    /// [`Capability::BLOCKING`]
    fn blocking(&self) -> &'static [&'static str];

    /// [`Capability::SEVERAL`]
    fn several(&self) -> bool;

    /// [`Capability::read`]
    fn read<'t>(
        &self,
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Declared<Arc<dyn Resource>>;

    /// [`Capability::connect`]
    ///
    /// # Errors
    /// As there, or the settings are another capability's.
    fn connect(
        &self,
        settings: &dyn Resource,
        name: &str,
        host: &dyn Host,
    ) -> anyhow::Result<Box<dyn Backend>>;

    /// [`Capability::figures`]
    fn figures(&self, name: &str) -> Vec<Figure>;

    /// [`Capability::url_of`]
    fn url_of(&self, server: &str) -> Option<String>;

    /// Grant it, with a seam in place of its backend, unless its calls have a form of their own in cases.
    fn scripted(&self, seam: Arc<dyn Seam>, granted: Granted) -> Granted;

    /// If it is granted, put a seam in front of its backend, unless its calls have a form of their own in cases.
    fn watched(&self, seam: Arc<dyn Seam>, granted: Granted) -> Granted;
}

/// Any capability, for instances whose store holds a `T`.
pub trait Linkable<T>: AnyCapability {
    /// Link all interfaces of its package.
    ///
    /// # Errors
    /// The linker has them already.
    fn link(&self, linker: &mut Linker<T>) -> wasmtime::Result<()>;
}

macro_rules! capabilities {
    ($($capability:path,)*) => {
        /// Every capability, in the order in which messages name them.
        pub static ALL: &[&dyn AnyCapability] = &[$(&$capability),*];

        /// The same, for instances whose store holds a `T`.
        pub fn linkable<T: HasInstance>() -> Vec<&'static dyn Linkable<T>> {
            vec![$(&$capability),*]
        }
    };
}

// A new one is a folder, and its line here.
capabilities! {
    postgres::Postgres,
    ollama::Ollama,
    keyvalue::Keyvalue,
    sqlite::Sqlite,
}

impl<C: Capability> AnyCapability for C {
    fn key(&self) -> &'static str {
        C::KEY
    }

    fn package(&self) -> &'static str {
        C::PACKAGE
    }

    fn interfaces(&self) -> &'static [(&'static str, &'static [&'static str])] {
        C::INTERFACES
    }

    fn instead_of(&self) -> &'static [(&'static str, &'static str)] {
        C::INSTEAD_OF
    }

    fn blocking(&self) -> &'static [&'static str] {
        C::BLOCKING
    }

    fn several(&self) -> bool {
        C::SEVERAL
    }

    fn read<'t>(
        &self,
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Declared<Arc<dyn Resource>> {
        let Declared { resource, stand_in } = C::read(cx, name, at, table);
        let resource = resource.map(|resource| Arc::new(resource) as Arc<dyn Resource>);
        Declared { resource, stand_in }
    }

    fn connect(
        &self,
        settings: &dyn Resource,
        name: &str,
        host: &dyn Host,
    ) -> anyhow::Result<Box<dyn Backend>> {
        let settings: &dyn Any = settings;
        let settings = settings.downcast_ref();
        C::connect(settings.context("the settings of another capability")?, name, host)
    }

    fn figures(&self, name: &str) -> Vec<Figure> {
        C::figures(name)
    }

    fn url_of(&self, server: &str) -> Option<String> {
        C::url_of(server)
    }

    fn scripted(&self, seam: Arc<dyn Seam>, granted: Granted) -> Granted {
        match C::with_seam(seam, None) {
            Some(grant) => granted.with::<C>(grant),
            None => granted,
        }
    }

    fn watched(&self, seam: Arc<dyn Seam>, granted: Granted) -> Granted {
        let Some(backend) = granted.of::<C>().cloned() else { return granted };
        match C::with_seam(seam, Some(backend)) {
            Some(grant) => granted.with::<C>(grant),
            None => granted,
        }
    }
}

impl<C: Capability, T: HasInstance> Linkable<T> for C {
    fn link(&self, linker: &mut Linker<T>) -> wasmtime::Result<()> {
        C::link(linker)
    }
}

impl fmt::Debug for dyn AnyCapability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.key())
    }
}

/// As in the program, so that tests see what it sees.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: wasm_host_system::allocations::Watched<wasm_host_system::mimalloc::Mimalloc> =
    wasm_host_system::allocations::Watched(wasm_host_system::mimalloc::Mimalloc);
