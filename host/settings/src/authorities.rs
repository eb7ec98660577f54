//! `ca`: a PEM file of authorities that the connections of one table trust beside the system's.
//!
//! It is read and tried here, so that a wrong one is reported with its line.

use super::context::Context;
use super::diagnostic::Problem;
use super::disk;
use super::file::Table;
use super::named::What;
use crate::tls::{Authorities, NoAuthority};

pub fn authorities(cx: &Context<'_>, table: &Table<'_>) -> Option<Authorities> {
    let path = table.text(cx, "ca")?;
    let pem = cx.checked(&path.at, disk::pem(&cx.path(What::Authorities, &path)))?;
    let read = Authorities::new(&pem).map_err(|NoAuthority(what, fix)| Problem::new(what, fix));
    cx.checked(&path.at, read)
}
