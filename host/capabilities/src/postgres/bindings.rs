//! `wit/postgres` as Rust traits and types.

wasmtime::component::bindgen!({
    path: "../../wit/postgres",
    inline: "
        package wasm-host:host;

        world all {
            include wasm-host:postgres/imports@0.1.0;
            include wasm-host:postgres/blocking-imports@0.1.0;
        }
    ",
    world: "wasm-host:host/all",
    imports: { default: async | store | trappable },
    with: {
        "wasm-host:postgres/client.transaction":
            crate::postgres::host::OpenTransaction,
        "wasm-host:postgres/blocking.transaction":
            crate::postgres::blocking::OpenTransaction,
        "wasm-host:postgres/blocking.cursor":
            crate::postgres::blocking::Cursor,
    },
});

pub(super) use wasm_host::postgres::{blocking, client, types};
