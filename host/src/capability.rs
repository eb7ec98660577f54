//! Capabilities: what a component can be granted beside plain WASI.
//!
//! Each capability is a folder with the same parts: the backend trait that the rest of the host and
//! the tests see, the real backend, and `host.rs`, which connects the trait to the WIT interface and tells the rest
//! of the host what there is to know of it ([`Capability`]). They know the request on whose behalf a guest calls
//! ([`context`]) and the instance that it calls from ([`instance`]), but nothing of engines, services or HTTP routing.

pub mod backend;
pub mod body;
pub mod breaker;
pub mod budget;
pub mod context;
pub mod granted;
pub mod header_sets;
pub mod headers;
pub mod instance;
pub mod journal;
pub mod ollama;
pub mod outgoing;
pub mod postgres;
pub mod stream;

use std::fmt;

use wasmtime::component::Linker;

use self::instance::HasInstance;

/// Something that the application file can grant to a component. Each folder implements it once.
pub trait Capability: Sync + 'static {
    /// The key of `[service.NAME]` that grants it.
    const KEY: &'static str;

    /// The WIT package that a component imports to use it.
    const PACKAGE: &'static str;

    /// What a service has that is granted it.
    type Backend: Send + Sync + 'static;

    /// Link all interfaces of the package.
    ///
    /// # Errors
    /// The linker has them already.
    fn link<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()>;
}

/// Any capability, for code that goes over all of them.
pub trait AnyCapability: Sync {
    fn key(&self) -> &'static str;
    fn package(&self) -> &'static str;
}

/// Any capability, for instances whose store holds a `T`.
pub trait Linkable<T>: AnyCapability {
    /// Link all interfaces of its package.
    ///
    /// # Errors
    /// The linker has them already.
    fn link(&self, linker: &mut Linker<T>) -> wasmtime::Result<()>;
}

/// Every capability, in the order in which messages name them. A new one is a folder, and its line here.
pub fn all<T: HasInstance>() -> [&'static dyn Linkable<T>; 2] {
    [&postgres::Postgres, &ollama::Ollama]
}

impl<C: Capability> AnyCapability for C {
    fn key(&self) -> &'static str {
        C::KEY
    }

    fn package(&self) -> &'static str {
        C::PACKAGE
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

/// The WIT interfaces of `wit/` as Rust traits and types.
pub mod bindings {
    wasmtime::component::bindgen!({
        path: [
            "../wit/deps/wasi-0.3/clocks.wit",
            "../wit/deps/wasi-0.3/random.wit",
            "../wit/deps/wasi-0.3/filesystem.wit",
            "../wit/deps/wasi-0.3/sockets.wit",
            "../wit/deps/wasi-0.3/cli.wit",
            "../wit/deps/wasi-0.3/http.wit",
            "../wit/postgres",
            "../wit/ollama",
            "../wit/service",
        ],
        world: "wasm-host:service/capabilities",
        imports: { default: async | store | trappable },
        with: {
            "wasi:http": wasmtime_wasi_http::p3::bindings::http,
            "wasi:clocks": wasmtime_wasi::p3::bindings::clocks,
            "wasm-host:postgres/client.transaction":
                crate::capability::postgres::host::OpenTransaction,
        },
    });
}
