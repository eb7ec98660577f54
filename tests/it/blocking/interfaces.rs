//! What a toolchain without async functions has to read: two files of each package.

use std::path::Path;

use wasm_host_tests::host::root;
use wit_parser::{Resolve, SourceMap, TypeDefKind, WorldItem};

#[test]
fn the_interfaces_stand_alone_and_have_nothing_asynchronous() {
    for package in ["postgres", "ollama"] {
        let mut files = SourceMap::new();
        for file in ["types.wit", "blocking.wit"] {
            let path = root().join("wit").join(package).join(file);
            files.push(Path::new(file), std::fs::read_to_string(path).unwrap());
        }
        let parsed = files.parse().map_err(|(_, error)| error).unwrap();
        let mut resolve = Resolve::default();
        let package = resolve.push_group(parsed).unwrap();
        let world = resolve.select_world(&[package], Some("blocking-imports")).unwrap();
        let imports = resolve.worlds[world].imports.values();
        let interfaces: Vec<_> = imports
            .map(|import| match import {
                WorldItem::Interface { id, .. } => &resolve.interfaces[*id],
                other => panic!("{other:?}"),
            })
            .collect();
        let mut names: Vec<_> = interfaces.iter().map(|one| one.name.as_deref()).collect();
        names.sort();
        assert_eq!(names, [Some("blocking"), Some("types")]);
        let mut functions = interfaces.iter().flat_map(|one| one.functions.values());
        assert!(functions.all(|function| !function.kind.is_async()));
        let mut kinds = resolve.types.iter().map(|(_, one)| &one.kind);
        assert!(!kinds.any(|one| matches!(one, TypeDefKind::Stream(_) | TypeDefKind::Future(_))));
    }
}
