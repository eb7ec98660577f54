//! Compressed requests.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// What became of a compressed request.
#[derive(Debug, PartialEq, Eq)]
pub enum Inflated {
    Whole(Bytes),
    /// There is more in it than may be.
    TooLarge,
    /// It is not compressed with gzip, or cut off.
    Broken,
}

/// Undo gzip, up to so many bytes.
pub fn inflate(compressed: &[u8], most: u64) -> Inflated {
    let mut whole = Vec::new();
    match MultiGzDecoder::new(compressed).take(most.saturating_add(1)).read_to_end(&mut whole) {
        Ok(_) if whole.len() as u64 > most => Inflated::TooLarge,
        Ok(_) => Inflated::Whole(whole.into()),
        Err(_) => Inflated::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Fault (Telemetry): a compressed request that is many times as large | undoes no more than may be | 413 | what was sent
    #[test]
    fn what_is_compressed_is_read_up_to_its_bound() {
        let compressed = crate::send::gzip(&[7; 100]);
        assert_eq!(inflate(&compressed, 100), Inflated::Whole(Bytes::from_static(&[7; 100])));
        assert_eq!(inflate(&compressed, 99), Inflated::TooLarge);
        assert_eq!(inflate(&compressed[..compressed.len() / 2], 100), Inflated::Broken);
        assert_eq!(inflate(b"plain", 100), Inflated::Broken);
        // A bomb is no more than its bound.
        let bomb = crate::send::gzip(&vec![0; 64 * 1024 * 1024]);
        assert!(bomb.len() < 512 * 1024);
        assert_eq!(inflate(&bomb, 1024), Inflated::TooLarge);
    }
}
