//! The drafts of `wasi:keyvalue` as Rust traits and types. Their buckets are one type.

pub(super) mod draft {
    wasmtime::component::bindgen!({
        path: "../../wit/deps/wasi-drafts/keyvalue-draft.wit",
        world: "wasi:keyvalue/imports",
        imports: { default: async | store | trappable },
        with: {
            "wasi:keyvalue/store.bucket": crate::keyvalue::host::OpenBucket,
        },
    });

    pub(in crate::keyvalue) use wasi::keyvalue::{atomics, batch, store};
}

pub(super) mod draft2 {
    wasmtime::component::bindgen!({
        path: "../../wit/deps/wasi-drafts/keyvalue-draft2.wit",
        world: "wasi:keyvalue/imports",
        imports: { default: async | store | trappable },
        with: {
            "wasi:keyvalue/store.bucket": crate::keyvalue::host::OpenBucket,
            "wasi:keyvalue/atomics.cas": crate::keyvalue::host::OpenCas,
        },
    });

    pub(in crate::keyvalue) use wasi::keyvalue::{atomics, batch, store};
}
