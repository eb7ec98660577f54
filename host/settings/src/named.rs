//! What an application file names that is not in it: files, folders, and secrets by where they come from.
//!
//! It exists for those who carry an application elsewhere, so that nothing of it is forgotten: whatever reads a path for a
//! key enters it here in the same step ([`Context::path`](crate::context::Context::path)).

/// Something that an application file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub what: What,
    /// As it stands in the file: a path, or the name of a crate or a variable.
    pub written: String,
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A component file.
    Component,
    /// A crate below `components`.
    Crate,
    /// A folder of static files.
    Folder,
    /// SQL that a database is begun with.
    Script,
    /// Certificates of authorities.
    Authorities,
    /// The public key of somebody who signs components.
    PublicKey,
    /// The certificate of the public port.
    Certificate,
    /// Its private key, which is a secret.
    PrivateKey,
    /// What `${file:...}` names.
    SecretFile,
    /// What `${...}` names.
    Variable,
}
