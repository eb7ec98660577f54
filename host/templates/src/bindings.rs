//! Interfaces in C, so that who writes C needs no tool for them.

use std::path::PathBuf;

use wit_bindgen_core::Files;
use wit_parser::Resolve;

use crate::Damaged;
use crate::wit::{self, Granted, Style, WORLD};

/// `service.c` and `service.h` for what a service is granted.
///
/// # Errors
/// The interfaces in the program cannot be read: a defect of the program.
pub fn c(service: &str, style: Style, granted: Granted) -> Result<Vec<(PathBuf, String)>, Damaged> {
    let damaged = |error: &dyn std::fmt::Display| Damaged::new(format!("{error:#}"));
    let text = wit::text(service, style, granted);
    let mut resolve = Resolve::default();
    let package = resolve.push_str("world.wit", &text).map_err(|error| damaged(&error))?;
    let world = resolve.select_world(&[package], Some(WORLD)).map_err(|error| damaged(&error))?;
    // What the linker needs is taken from the interfaces themselves by `wasm-tools component embed`.
    let options = wit_bindgen_c::Opts { no_object_file: true, ..Default::default() };
    let mut files = Files::default();
    let generated = options.build().generate(&mut resolve, world, &mut files);
    generated.map_err(|error| damaged(&error))?;
    let texts = files.iter().filter_map(|(name, bytes)| {
        Some((PathBuf::from(name), String::from_utf8(bytes.to_vec()).ok()?))
    });
    Ok(texts.collect())
}
