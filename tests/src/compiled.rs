//! Compiled code that the hosts of one run of the tests lend each other: hundreds of them begin with the same few
//! components, and to compile these takes longer than to start.
//!
//! A host is lent what another left in its state folder, as if it had run before. What is uploaded to it is compiled, and
//! so is a component for the first host that has it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use sha2::{Digest as _, Sha256};

/// What is kept of all components together: interpreters have tens of megabytes each.
const MOST_BYTES: usize = 512 * 1024 * 1024;

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Kept {
    /// The components of the build, which stay as they are while tests run.
    digests: HashMap<PathBuf, String>,
    /// By the names of their files, which begin with the digest of the component.
    code: BTreeMap<String, Arc<[u8]>>,
    bytes: usize,
}

impl Kept {
    fn digest(&mut self, component: &Path) -> Option<String> {
        if let Some(digest) = self.digests.get(component) {
            return Some(digest.clone());
        }
        let digest = hex::encode(Sha256::digest(fs::read(component).ok()?));
        self.digests.insert(component.to_path_buf(), digest.clone());
        Some(digest)
    }
}

/// Give a host that starts for the first time the code of its components, as far as it is known.
pub(crate) fn lend(state: &Path, components: &[PathBuf]) {
    let mut lent = Vec::new();
    {
        let mut kept = KEPT.lock().unwrap();
        for component in components {
            let Some(digest) = kept.digest(component) else { continue };
            let known =
                kept.code.range(digest.clone()..).take_while(|(name, _)| name.starts_with(&digest));
            lent.extend(known.map(|(name, code)| (name.clone(), code.clone())));
        }
    }
    if lent.is_empty() || state.exists() {
        return;
    }
    let folder = state.join("code");
    // As the host makes them: a server of its own has another account, which passes through the first.
    fs::DirBuilder::new().mode(0o755).create(state).unwrap();
    fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    for (name, code) in lent {
        fs::write(folder.join(name), code).unwrap();
    }
}

/// Keep the code of components for others, of a host that has compiled them.
pub(crate) fn keep(state: &Path, components: &[PathBuf]) {
    let mut kept = KEPT.lock().unwrap();
    let digests: Vec<_> = components.iter().filter_map(|path| kept.digest(path)).collect();
    for entry in fs::read_dir(state.join("code")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_of_one = digests.iter().any(|digest| name.starts_with(digest));
        if !is_of_one || !name.ends_with(".cwasm") || kept.code.contains_key(&name) {
            continue;
        }
        let Ok(code) = fs::read(entry.path()) else { continue };
        if kept.bytes + code.len() <= MOST_BYTES {
            kept.bytes += code.len();
            kept.code.insert(name, code.into());
        }
    }
}
