//! The bounds of Spin's interfaces, beside those of the capabilities that answer them.

bounds! {

/// Bytes of the rows that a statement gives all at once. Larger results are taken as a stream, where a component can;
/// Spin itself puts no bound.
pub const ROWS_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of a manifest that is made into an application file.
pub const MANIFEST_BYTES: u64 = 1024 * 1024;

}
