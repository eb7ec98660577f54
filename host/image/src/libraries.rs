//! The running program and what it is linked to, as files.
//!
//! What the system has loaded for this process is exactly what the program needs, found where its loader finds it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use object::elf::FileHeader64;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, elf};
use wasm_host_limits::image::{LIBRARIES, PROGRAM_BYTES};

use crate::layer::whole;

const SELF: &str = "/proc/self/exe";

/// A program with its libraries.
pub(crate) struct Program {
    pub(crate) bytes: Vec<u8>,
    /// Each with the path at which the loader looks for it.
    pub(crate) libraries: Vec<(PathBuf, Vec<u8>)>,
}

impl Program {
    /// This one.
    pub(crate) fn own() -> Result<Self> {
        let bytes = whole(Path::new(SELF), PROGRAM_BYTES).context("cannot read this program")?;
        let maps = fs::read_to_string("/proc/self/maps").context("cannot read what is loaded")?;
        let own = fs::read_link(SELF).context("cannot read this program's path")?;
        let Some(loader) = interpreter(&bytes) else {
            // It is linked to nothing.
            return Ok(Self { bytes, libraries: Vec::new() });
        };
        let loaded: BTreeSet<_> = loaded(&maps).filter(|path| **path != own).collect();
        if loaded.len() > LIBRARIES {
            bail!("this program is linked to more than {LIBRARIES} libraries");
        }
        let loader_file = fs::canonicalize(&loader)
            .with_context(|| format!("cannot find {}", loader.display()))?;
        let mut libraries = Vec::new();
        for path in loaded {
            let bytes = whole(path, PROGRAM_BYTES)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let place = match path == loader_file {
                true => loader.clone(),
                // The loader asks for this name; the file may have a longer one.
                false => soname(&bytes).map_or(path.to_owned(), |name| path.with_file_name(name)),
            };
            libraries.push((place, bytes));
        }
        Ok(Self { bytes, libraries })
    }
}

/// The files that hold code of a process.
fn loaded(maps: &str) -> impl Iterator<Item = &Path> {
    maps.lines().filter_map(|line| {
        let mut words = line.splitn(6, ' ');
        let (_, modes) = (words.next()?, words.next()?);
        let path = words.nth(3)?.trim_start();
        (modes.contains('x') && path.starts_with('/')).then(|| Path::new(path))
    })
}

/// What loads a program; nothing if it is linked to no library.
fn interpreter(bytes: &[u8]) -> Option<PathBuf> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let named = segments.iter().find_map(|segment| segment.interpreter(endian, bytes).ok()?);
    Some(PathBuf::from(std::str::from_utf8(named?).ok()?))
}

/// The name under which a library is asked for.
fn soname(bytes: &[u8]) -> Option<String> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, bytes).ok()?;
    let (entries, link) = sections.dynamic(endian, bytes).ok()??;
    let strings = sections.strings(endian, bytes, link).ok()?;
    let entry = entries.iter().find(|entry| entry.tag(endian) == elf::DT_SONAME)?;
    let name = entry.string(endian, strings).ok()?;
    String::from_utf8(name.to_vec()).ok().filter(|name| !name.contains('/') && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_files_is_what_is_loaded() {
        let maps = "55e0-55e1 r--p 00000000 fe:00 12   /usr/bin/program\n\
                    55e1-55e2 r-xp 00001000 fe:00 12   /usr/bin/program\n\
                    7f10-7f11 r-xp 00001000 fe:00 13   /usr/lib/lib c.so.6\n\
                    7f12-7f13 r--p 00001000 fe:00 14   /usr/share/data\n\
                    7f14-7f15 r-xp 00000000 00:00 0    [vdso]\n\
                    7f16-7f17 rwxp 00000000 00:00 0 \n";
        let found: Vec<_> = loaded(maps).collect();
        assert_eq!(found, [Path::new("/usr/bin/program"), Path::new("/usr/lib/lib c.so.6")]);
    }

    #[test]
    fn a_program_has_its_loader_where_it_looks_for_it_and_its_libraries_by_their_names() {
        let program = Program::own().unwrap();
        let loader = interpreter(&program.bytes).unwrap();
        let places: Vec<_> = program.libraries.iter().map(|(place, _)| place).collect();
        assert!(places.contains(&&loader), "{places:?}");
        let name = |place: &&PathBuf| place.file_name().unwrap().to_str().unwrap().to_owned();
        let names: Vec<_> = places.iter().map(name).collect();
        assert!(names.contains(&"libc.so.6".to_owned()), "{names:?}");
        let own = fs::read_link(SELF).unwrap();
        assert!(!places.contains(&&own));
    }
}
