//! Components made by hand, instruction by instruction, for what no language that components are written in here says.

use std::collections::{BTreeMap, BTreeSet};

use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    HeapType, ImportSection, Module, RefType, StartSection, TableSection, TableType, TypeSection,
    ValType,
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
    component(module.finish(), &[])
}

/// A service of many functions, each a long loop about many values, which keep a compiler busy for minutes.
pub fn takes_long_to_compile() -> Vec<u8> {
    loops(200, 10_000, 500)
}

/// A service of so many functions, each a loop of so many steps about so many values.
pub fn loops(functions: usize, steps: u32, values: u32) -> Vec<u8> {
    let mut handle = Function::new([]);
    handle.instructions().end();
    let mut long = Function::new([(values, ValType::I32)]);
    let mut code = long.instructions();
    code.loop_(BlockType::Empty);
    for step in 0..steps {
        let [one, other] = [step * 7 % values, step * 13 % values];
        code.local_get(one).local_get(other).i32_mul().local_get(step % values).i32_xor();
        code.local_set(one);
    }
    code.local_get(0).br_if(0).end().end();
    let mut functions = vec![long; functions];
    functions.insert(0, handle);
    service(&TableSection::new(), &functions)
}

/// A service that counts to a hundred million when it starts.
pub fn computes_when_it_starts() -> Vec<u8> {
    let mut handle = Function::new([]);
    handle.instructions().end();
    let mut start = Function::new([(1, ValType::I32)]);
    let mut code = start.instructions();
    code.loop_(BlockType::Empty).local_get(0).i32_const(1).i32_add().local_tee(0);
    code.i32_const(100_000_000).i32_lt_u().br_if(0).end().end();
    service(&TableSection::new(), &[handle, start])
}

/// A service that grows a table by so many elements, and then another one. It traps by an `unreachable` where it is
/// refused the second; otherwise it comes back.
pub fn grows_tables(elements: i32) -> Vec<u8> {
    let mut tables = TableSection::new();
    let element_type = RefType::FUNCREF;
    for _ in 0..2 {
        tables.table(TableType {
            element_type,
            table64: false,
            minimum: 0,
            maximum: None,
            shared: false,
        });
    }
    let mut handle = Function::new([]);
    let mut code = handle.instructions();
    code.ref_null(HeapType::FUNC).i32_const(elements).table_grow(0);
    code.i32_const(-1).i32_eq().if_(BlockType::Empty).return_().end();
    code.ref_null(HeapType::FUNC).i32_const(elements).table_grow(1);
    code.i32_const(-1).i32_eq().if_(BlockType::Empty).unreachable().end();
    code.end();
    service(&tables, &[handle])
}

/// The handler of WASI 0.2.
pub const HANDLER: &str = "wasi:http/incoming-handler@0.2.12";

/// A service of WASI 0.2 that imports a function `ask` of each of these interfaces, such as
/// `acme:coyote/anvil@1.0.0`, and answers nothing.
pub fn importing(interfaces: &[&str]) -> Vec<u8> {
    part(interfaces, &[HANDLER])
}

/// A middleware of WASI 0.2 with such imports besides, which answers nothing.
pub fn middleware(interfaces: &[&str]) -> Vec<u8> {
    part(&[&[HANDLER], interfaces].concat(), &[HANDLER])
}

/// A component with these imports and exports: the handler of WASI 0.2, and interfaces with a function `ask`.
pub fn part(imported: &[&str], exported: &[&str]) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32, ValType::I32], []);
    types.ty().function([], []);
    let function = |interface: &str| match interface == HANDLER {
        true => ("handle", 0),
        false => ("ask", 1),
    };
    let mut imports = ImportSection::new();
    for interface in imported {
        let (name, ty) = function(interface);
        imports.import(interface, name, EntityType::Function(ty));
    }
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut bodies = CodeSection::new();
    for (number, interface) in exported.iter().enumerate() {
        let (name, ty) = function(interface);
        functions.function(ty);
        let index = u32::try_from(imported.len() + number).unwrap();
        exports.export(&format!("{interface}#{name}"), ExportKind::Func, index);
        let mut body = Function::new([]);
        body.instructions().end();
        bodies.function(&body);
    }
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&exports).section(&bodies);
    wrapped(module.finish(), imported, exported)
}

/// The component around a module that handles requests, with these imports.
fn component(module: Vec<u8>, imports: &[&str]) -> Vec<u8> {
    wrapped(module, imports, &[HANDLER])
}

fn wrapped(mut module: Vec<u8>, imports: &[&str], exports: &[&str]) -> Vec<u8> {
    let mut resolve = Resolve::default();
    // Each uses those before it.
    for package in ["io", "clocks", "random", "filesystem", "sockets", "cli", "http"] {
        let file = root().join(format!("wit/deps/wasi-0.2/{package}.wit"));
        resolve.push_file(file).unwrap();
    }
    let (mut world, mut packages) = (String::new(), BTreeMap::<String, BTreeSet<&str>>::new());
    let imports = imports.iter().map(|name| ("import", name));
    let exports = exports.iter().map(|name| ("export", name));
    for (way, named) in imports.chain(exports) {
        world.push_str(&format!("{way} {named};"));
        if *named != HANDLER {
            let (name, version) = named.split_once('@').expect("a version");
            let (package, interface) = name.split_once('/').expect("an interface");
            packages.entry(format!("{package}@{version}")).or_default().insert(interface);
        }
    }
    let packages = packages.into_iter().map(|(package, interfaces)| {
        let all = interfaces.iter().map(|name| format!("interface {name} {{ ask: func(); }} "));
        format!("package {package} {{ {} }}\n", all.collect::<String>())
    });
    let packages: String = packages.collect();
    let text = format!("package test:handmade;\nworld service {{ {world} }}\n{packages}");
    let package = resolve.push_str("service.wit", &text).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}
