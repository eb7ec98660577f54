//! The bounds of what the log says of the same again and again.

bounds! {

/// Lines of one kind about one service that the log takes at once. More than a person reads; guests, clients and
/// backends can cause one with each thing that they do.
pub const LINES_ALIKE: u32 = 50;

/// Such lines in a second, when there were as many at once.
pub const LINES_ALIKE_PER_SECOND: u32 = 10;

/// Kinds of lines, each about one service, that are counted apart. A kind is a place in the program, and services are
/// named by the application file; those on top of it share a count for each kind.
pub const KINDS: usize = 4096;

/// Characters of a line that was left out, as the log repeats it for all that were left out with it.
pub const LIKE_CHARACTERS: usize = 200;

}
