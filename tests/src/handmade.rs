//! Components made by hand, instruction by instruction, for what no language that components are written in here says.

use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module, StartSection,
    TableSection, TypeSection, ValType,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::host::root;

/// A service of WASI 0.2 that has these tables, handles a request with the first of these functions, and runs the
/// second when an instance starts, if there is one. What it handles it never answers.
pub fn service(tables: &TableSection, code: &[Function]) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32, ValType::I32], []);
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    let mut bodies = CodeSection::new();
    for (number, body) in code.iter().enumerate() {
        functions.function(u32::from(number > 0));
        bodies.function(body);
    }
    let mut exports = ExportSection::new();
    exports.export("wasi:http/incoming-handler@0.2.12#handle", ExportKind::Func, 0);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(tables).section(&exports);
    if code.len() > 1 {
        module.section(&StartSection { function_index: 1 });
    }
    module.section(&bodies);
    component(module.finish())
}

/// The component around a module that handles requests.
fn component(mut module: Vec<u8>) -> Vec<u8> {
    let mut resolve = Resolve::default();
    // Each uses those before it.
    for package in ["io", "clocks", "random", "filesystem", "sockets", "cli", "http"] {
        let file = root().join(format!("wit/deps/wasi-0.2/{package}.wit"));
        resolve.push_file(file).unwrap();
    }
    let world =
        "package test:handmade; world service { export wasi:http/incoming-handler@0.2.12; }";
    let package = resolve.push_str("service.wit", world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}
