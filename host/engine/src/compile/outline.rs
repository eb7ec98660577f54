//! What a component imports and exports, read without making machine code of it.
//!
//! An interpreter with its libraries takes ten seconds to compile, and none of that is needed to know what it asks
//! for. The judgement stays the linker's: it is given a component that imports the same and does nothing.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use wasmparser::{BinaryReader, ComponentExportSectionReader, Validator, WasmFeatures};
use wasmtime::component::Component;

use crate::Engine;
use crate::compile::{Code, ComponentFile, HEADER, first_section, invalid};

/// The sections of a component's binary form that matter here.
const CORE_TYPES: u8 = 3;
const ALIASES: u8 = 6;
const TYPES: u8 = 7;
const IMPORTS: u8 = 10;
const EXPORTS: u8 = 11;
/// Names and notes for other tools.
const CUSTOM: u8 = 0;

/// What a component looks like from outside.
pub struct Outline {
    /// A component that imports the same, and exports nothing unless all of it had to be compiled.
    pub importing: Arc<Code>,
    pub exports: Vec<String>,
}

impl Outline {
    /// Read a component for a thread that may wait, with `compile` if all of it has to be compiled.
    pub fn read_now(
        engine: &Engine,
        file: &ComponentFile,
        compile: impl FnOnce() -> Result<Arc<Code>>,
    ) -> Result<Self> {
        let invalid = || invalid(file);
        // Whether the engine takes each of them is seen when it is compiled.
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        validator.validate_all(&file.bytes).with_context(invalid)?;
        let (importing, exports) = outer(&file.bytes).with_context(invalid)?;
        let importing = match importing {
            Some(bytes) => Component::from_binary(engine.wasmtime(), &bytes)
                .map(|component| Arc::new(Code::new(component)))
                .map_err(anyhow::Error::from)
                .with_context(invalid)?,
            None => compile()?,
        };
        Ok(Self { importing, exports })
    }
}

/// A component of the same imports and nothing else, and the names of the exports. There is no such component where
/// imports come after something that is made of code.
fn outer(bytes: &[u8]) -> Result<(Option<Vec<u8>>, Vec<String>)> {
    let cut = || anyhow!("it ends in the middle of a section");
    let header = bytes.get(..HEADER).ok_or_else(cut)?;
    let (mut importing, mut exports) = (Some(header.to_vec()), Vec::new());
    let mut only_imports = true;
    let mut rest = bytes.get(HEADER..).ok_or_else(cut)?;
    while let Some(kind) = rest.first() {
        let section = first_section(rest).ok_or_else(cut)?;
        let whole = rest.get(..rest.len() - section.after.len()).ok_or_else(cut)?;
        match *kind {
            CUSTOM => {}
            IMPORTS if !only_imports => importing = None,
            CORE_TYPES | ALIASES | TYPES | IMPORTS if only_imports => {
                importing.iter_mut().for_each(|importing| importing.extend_from_slice(whole));
            }
            EXPORTS => {
                only_imports = false;
                let reader = BinaryReader::new(section.content, 0);
                for export in ComponentExportSectionReader::new(reader)? {
                    exports.push(export?.name.name.to_string());
                }
            }
            _ => only_imports = false,
        }
        rest = section.after;
    }
    Ok((importing, exports))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use wasm_host_tests::handmade;

    use super::*;
    use crate::compile::{CodeCache, compile_now};
    use crate::link::imports;

    const IMPORT: &str = "acme:coyote/anvil@1.0.0";

    /// An empty module as a section of a component.
    const CODE: [u8; 10] = [1, 8, 0, b'a', b's', b'm', 1, 0, 0, 0];

    #[test]
    fn imports_are_read_without_code_and_with_it_where_they_come_after_it() {
        let engine = Engine::new(1).unwrap();
        let early = handmade::importing(&[IMPORT]);
        let (importing, exports) = outer(&early).unwrap();
        assert_eq!(exports, ["wasi:http/incoming-handler@0.2.12"]);
        let importing = importing.unwrap();
        assert!(importing.len() < early.len());
        let late = [&importing[..HEADER], &CODE, &importing[HEADER..]].concat();
        assert!(outer(&late).unwrap().0.is_none());
        for bytes in [early, late] {
            let file = ComponentFile::from_bytes(bytes, PathBuf::from("a.wasm")).unwrap();
            let compile = || compile_now(&engine, &CodeCache::none(), &file);
            let outline = Outline::read_now(&engine, &file, compile).unwrap();
            let imports = imports(&engine, &outline.importing);
            assert!(imports.contains(&IMPORT.to_string()), "{imports:?}");
        }
    }

    #[test]
    fn a_file_that_was_cut_is_told() {
        let engine = Engine::new(1).unwrap();
        let mut bytes = handmade::importing(&[IMPORT]);
        bytes.truncate(bytes.len() / 2);
        let file = ComponentFile::from_bytes(bytes, PathBuf::from("a.wasm")).unwrap();
        let wrong = Outline::read_now(&engine, &file, || panic!("it is compiled")).err().unwrap();
        assert_eq!(wrong.to_string(), "a.wasm is not a valid component");
    }
}
