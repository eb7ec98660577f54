//! `wit/spin` as Rust types. What they are linked by is in the modules beside this one: functions that wait have no
//! store in what is generated, and so could not find the request that they are called for.

wasmtime::component::bindgen!({
    inline: "
        package wasm-host:spin;

        world imports {
            import fermyon:spin/llm@2.0.0;
            import fermyon:spin/postgres@2.0.0;
            import fermyon:spin/sqlite@2.0.0;
            import fermyon:spin/key-value@2.0.0;
            import fermyon:spin/variables@2.0.0;
            import spin:postgres/postgres@3.0.0;
            import spin:postgres/postgres@4.2.0;
            import spin:sqlite/sqlite@3.1.0;
            import spin:key-value/key-value@3.0.0;
            import spin:variables/variables@3.0.0;
        }
    ",
    path: [
        "../../wit/spin/fermyon",
        "../../wit/spin/postgres-3",
        "../../wit/spin/postgres-4",
        "../../wit/spin/sqlite-3",
        "../../wit/spin/key-value-3",
        "../../wit/spin/variables-3",
    ],
    world: "wasm-host:spin/imports",
    imports: { default: trappable },
    with: {
        "fermyon:spin/postgres.connection": crate::spin::postgres::Connection,
        "spin:postgres/postgres@3.0.0.connection": crate::spin::postgres::Connection,
        "spin:postgres/postgres@4.2.0.connection": crate::spin::postgres::Connection,
        "spin:postgres/postgres@4.2.0.connection-builder": crate::spin::postgres::Builder,
        "fermyon:spin/key-value.store": crate::spin::key_value::Store,
        "spin:key-value/key-value.store": crate::spin::key_value::Store,
        "fermyon:spin/sqlite.connection": crate::spin::sqlite::Connection,
        "spin:sqlite/sqlite.connection": crate::spin::sqlite::Connection,
    },
});

pub(super) use fermyon::spin::{
    key_value as key_value2, llm, rdbms_types, sqlite as sqlite2, variables as variables2,
};
pub(super) use spin::key_value::key_value as key_value3;
pub(super) use spin::postgres3_0_0::postgres as postgres3;
pub(super) use spin::postgres4_2_0::postgres as postgres4;
pub(super) use spin::sqlite::sqlite as sqlite3;
pub(super) use spin::variables::variables as variables3;
