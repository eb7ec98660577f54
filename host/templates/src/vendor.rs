//! What new services stand on that no tool of theirs fetches, in the folder `vendor` of their application.

pub(crate) mod go;
pub(crate) mod rust;
