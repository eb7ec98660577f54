//! What new services stand on that is not for the day to choose: in the folder `vendor` of their application, or pinned with
//! a digest.

pub(crate) mod go;
pub(crate) mod npm;
pub(crate) mod rust;
