//! What components in Go are made with: the package that their bindings stand on, which the generator of the bindings
//! brings along, and the adapter between the WASI that Go's own library calls and that of components.

use std::path::Path;

use include_dir::{Dir, include_dir};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};

use crate::{NewFile, render};

/// Put there by the build script.
static PACKAGE: Dir<'_> = include_dir!("$OUT_DIR/go");

/// What people are told of it.
const LIBRARY: &str = "what bindings in Go stand on";

/// The package and the adapter, in `vendor`.
pub(crate) fn files() -> Vec<NewFile> {
    let place = Path::new("vendor");
    let package = place.join("go.bytecodealliance.org-pkg");
    let mut files: Vec<NewFile> = render::texts(&PACKAGE)
        .into_iter()
        .map(|(path, text)| NewFile::text(package.join(path), text.to_owned()))
        .collect();
    let path = place.join(format!("{WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME}.reactor.wasm"));
    let bytes = WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER.to_vec();
    files.push(NewFile { path, bytes, library: None });
    files.into_iter().map(|file| NewFile { library: Some(LIBRARY), ..file }).collect()
}
