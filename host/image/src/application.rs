//! What an application file names, as layers: at the same paths below the file's folder, so that the file holds as it is.
//!
//! Pure but for reading the files. What cannot be in an image is told, all of it at once; what must not be, such as
//! secrets, is listed for whoever runs it.

mod folder;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use wasm_host_oci::cache::BROUGHT_ALONG;
use wasm_host_settings::diagnostic::{Diagnostic, Severity, quoted};
use wasm_host_settings::named::{Named, What};

use crate::layer::Draft;
use crate::place::{FILE, FOLDER, PINS};

/// Where crates leave what is built of them, below the folder of the application file.
const BUILT: &str = "target/components";

/// An application that was read.
pub struct Application<'a> {
    /// The name of its file, for messages.
    pub file: &'a str,
    pub text: &'a str,
    pub folder: &'a Path,
    pub named: &'a [Named],
    /// Of what nothing may be carried along.
    pub state_dir: &'a Path,
    /// The text of `wasm-host.lock`.
    pub pins: Option<Vec<u8>>,
    /// What came from registries: the name of a file of [`BROUGHT_ALONG`], and what it holds.
    pub brought_along: Vec<(String, Vec<u8>)>,
}

/// What becomes of it.
#[derive(Debug, Default)]
pub struct Packed {
    /// The file, its components, and the other files that it names.
    pub application: Draft,
    /// Static files.
    pub files: Draft,
    /// What is not in the image and must be there when it runs.
    pub outside: Vec<Outside>,
}

/// Something that whoever runs the image brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    pub what: What,
    /// The name of a variable, or a path in the container.
    pub name: String,
}

impl Application<'_> {
    /// # Errors
    /// All that the file names and that cannot be in an image.
    pub fn pack(&self) -> Result<Packed, Vec<Diagnostic>> {
        let mut packed = Packed::default();
        let mut wrong = Vec::new();
        let mut outside = BTreeSet::new();
        packed.application.bytes(format!("{FOLDER}/{FILE}"), self.text);
        if let Some(pins) = &self.pins {
            packed.application.bytes(format!("{FOLDER}/{PINS}"), pins.clone());
        }
        for (name, bytes) in &self.brought_along {
            let place = format!("{FOLDER}/{BROUGHT_ALONG}/{name}");
            packed.application.bytes(place, bytes.clone());
        }
        let secrets = self.secret_files();
        for named in self.named {
            match named.what {
                What::Variable => _ = outside.insert((named.what, named.written.clone())),
                What::SecretFile | What::PrivateKey => {
                    outside.insert((named.what, in_container(&named.written)));
                }
                What::Certificate if below(&named.written).is_none() => {
                    outside.insert((named.what, in_container(&named.written)));
                }
                _ => {
                    if let Err(found) = self.put(&mut packed, named, &secrets) {
                        wrong.extend(found);
                    }
                }
            }
        }
        packed.outside = outside.into_iter().map(|(what, name)| Outside { what, name }).collect();
        if wrong.is_empty() { Ok(packed) } else { Err(wrong) }
    }

    /// Put one thing into the layer where it belongs.
    fn put(
        &self,
        packed: &mut Packed,
        named: &Named,
        secrets: &BTreeSet<PathBuf>,
    ) -> Result<(), Vec<Diagnostic>> {
        let one = |message: String, hint: &str| vec![self.at(named, message, hint)];
        let written = match named.what {
            What::Crate => {
                // The file names the folder, which has to be there; what it means is what was built.
                packed.application.folder(format!("{FOLDER}/components/{}", named.written));
                format!("{BUILT}/{}.wasm", named.written)
            }
            _ => named.written.clone(),
        };
        let path = self.folder.join(&written);
        let Some(place) = below(&written) else {
            let message =
                format!("{} is not below the folder of the application file", quoted(&written));
            return Err(one(message, "move it there: paths in an image are those of that folder"));
        };
        let place = Path::new(FOLDER).join(place);
        if named.what == What::Folder {
            let walk = folder::Walk { secrets, state_dir: self.state_dir };
            let found = walk.put(&mut packed.files, &path, &place);
            return found.map_err(|wrong| {
                let each = wrong.into_iter().map(|what| {
                    self.at(named, what, "make it readable, or move it out of the folder")
                });
                each.collect()
            });
        }
        if fs::canonicalize(&path).is_ok_and(|path| secrets.contains(&path)) {
            let message = format!("{} is a secret elsewhere in the file", quoted(&written));
            return Err(one(message, "a secret is in no image: use another file here"));
        }
        match fs::File::open(&path).and_then(|file| file.metadata()) {
            Ok(data) if data.is_file() => {
                packed.application.file(place, path);
                Ok(())
            }
            Ok(_) => Err(one(format!("{} is not a file", quoted(&written)), "name a file")),
            Err(error) if named.what == What::Crate => Err(one(
                format!("the component {} cannot be read: {error}", quoted(&written)),
                "build it first, as with `cargo xtask guests`",
            )),
            Err(error) => {
                let message = format!("{} cannot be read: {error}", quoted(&written));
                Err(one(message, "create it, or correct the path"))
            }
        }
    }

    /// Where the secrets are that are files here.
    fn secret_files(&self) -> BTreeSet<PathBuf> {
        let secret = |named: &&Named| matches!(named.what, What::SecretFile | What::PrivateKey);
        let paths = self.named.iter().filter(secret).map(|named| self.folder.join(&named.written));
        paths.filter_map(|path| fs::canonicalize(path).ok()).collect()
    }

    fn at(&self, named: &Named, message: String, hint: &str) -> Diagnostic {
        Diagnostic {
            file: self.file.to_owned(),
            line: named.line,
            column: named.column,
            severity: Severity::Error,
            message,
            hint: Some(hint.to_owned()),
        }
    }
}

/// The path without what means nothing in it; `None` if it does not stay below its folder.
fn below(path: &str) -> Option<PathBuf> {
    let mut parts = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir if parts.pop() => {}
            _ => return None,
        }
    }
    (parts != Path::new("") || path == ".").then_some(parts)
}

/// Where a container looks for a path of the file.
fn in_container(written: &str) -> String {
    Path::new(FOLDER).join(written).display().to_string()
}

#[cfg(test)]
mod tests;
