//! The bounds of images that are made of the host and of applications.

use std::time::Duration;

use super::{GIB, MIB, MINUTE};

bounds! {

/// Bytes of what one layer of an image holds, before compression. A layer is made in memory.
pub const LAYER_BYTES: u64 = GIB;

/// Files, folders and links in one layer.
pub const LAYER_ENTRIES: usize = 100_000;

/// Layers of an image that an application is put onto. No container engine takes more than about this many.
pub const BASE_LAYERS: usize = 120;

/// Time for an image of a registry that an application is put onto. A large one over a slow line takes minutes.
pub const BASE_TIMEOUT: Duration = Duration::from_secs(10 * MINUTE);

/// Time to send a whole image to a registry. Its largest layer may take as long as one upload may.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(60 * MINUTE);

/// Bytes of an image's configuration, and of the index of a layout. They have some KiB.
pub const IMAGE_CONFIG_BYTES: u64 = 4 * MIB;

/// Libraries that a program is linked to. This one has four.
pub const LIBRARIES: usize = 64;

/// Bytes of one program or library.
pub const PROGRAM_BYTES: u64 = GIB;

}
