//! What a service in JavaScript has of npm: each package below the one that its `package.json` names, with its digest.

use std::path::Path;

use crate::NewFile;

/// What the tests of the template are done with.
const LOCK: &str = include_str!("../../../../tests/templates/package-lock.json");

/// The same for a service.
pub(crate) fn lock(service: &str, folder: &str) -> NewFile {
    let text = LOCK.replace("\"name\": \"templates\"", &format!("\"name\": \"{service}\""));
    // Of the package that they are for, which stands before all others.
    let text = text.replacen("      \"license\": \"Apache-2.0\",\n", "", 1);
    NewFile::text(Path::new(folder).join("package-lock.json"), text)
}
