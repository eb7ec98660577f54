//! What a guest hands over, held against the bounds of the interface. They are those of every kind of bucket, so that a
//! component that works with one works with the others.

use wasm_host_limits::keyvalue::{BATCH_BYTES, BATCH_KEYS, KEY_BYTES, VALUE_BYTES};

use super::backend::{Error, Value};

/// Bytes of a call with this key.
pub(crate) fn key(key: &str) -> Result<usize, Error> {
    match key.len() {
        0 => Err(Error::Invalid("a key has at least one character".to_owned())),
        bytes if bytes > KEY_BYTES => Err(Error::Invalid(format!(
            "a key has at most {KEY_BYTES} bytes, and this one has {bytes}"
        ))),
        bytes => Ok(bytes),
    }
}

/// The same with a value.
pub(crate) fn entry(of: &str, value: &Value) -> Result<usize, Error> {
    let bytes = value.0.len();
    if bytes > VALUE_BYTES {
        return Err(Error::Invalid(format!(
            "a value has at most {VALUE_BYTES} bytes, and this one has {bytes}"
        )));
    }
    Ok(key(of)? + bytes)
}

/// The same with several keys.
pub(super) fn keys(keys: &[String]) -> Result<usize, Error> {
    batch(keys.len())?;
    keys.iter().map(|one| Ok(key(one)? + size_of::<String>())).sum()
}

/// The same with several keys and their values.
pub(super) fn entries(entries: &[(String, Value)]) -> Result<usize, Error> {
    batch(entries.len())?;
    let own = size_of::<(String, Value)>();
    let bytes: Result<usize, Error> =
        entries.iter().map(|(key, value)| Ok(entry(key, value)? + own)).sum();
    let values: usize = entries.iter().map(|(_, value)| value.0.len()).sum();
    batch_bytes(values as u64)?;
    bytes
}

/// Values that are together on one way have so many bytes.
pub(super) fn batch_bytes(bytes: u64) -> Result<(), Error> {
    if bytes > BATCH_BYTES as u64 {
        return Err(Error::Invalid(format!(
            "the values of a batch have at most {BATCH_BYTES} bytes together, and these have {bytes}; ask for fewer at \
             once"
        )));
    }
    Ok(())
}

fn batch(keys: usize) -> Result<(), Error> {
    if keys > BATCH_KEYS {
        return Err(Error::Invalid(format!(
            "a batch has at most {BATCH_KEYS} keys, and this one has {keys}"
        )));
    }
    Ok(())
}

/// A value that is under a key already has so many bytes.
pub(super) fn found(bytes: u64) -> Result<(), Error> {
    if bytes > VALUE_BYTES as u64 {
        return Err(Error::Invalid(format!(
            "the value has {bytes} bytes, and a component is given at most {VALUE_BYTES}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_its_bound_passes_and_what_is_beyond_does_not() {
        let text = |bytes| "k".repeat(bytes);
        assert!(key("").is_err() && key(&text(KEY_BYTES)).is_ok());
        assert!(key(&text(KEY_BYTES + 1)).is_err());
        let value = |bytes| Value(vec![0; bytes]);
        assert_eq!(entry("k", &value(3)), Ok(4));
        assert!(entry("k", &value(VALUE_BYTES)).is_ok());
        assert!(entry("k", &value(VALUE_BYTES + 1)).is_err());
        assert!(keys(&vec![text(1); BATCH_KEYS]).is_ok());
        assert!(keys(&vec![text(1); BATCH_KEYS + 1]).is_err());
        let half = || (text(1), value(BATCH_BYTES / 2));
        assert!(entries(&[half(), half()]).is_ok());
        assert!(entries(&[half(), half(), (text(1), value(1))]).is_err());
        assert!(entries(&[(text(0), value(1))]).is_err());
        assert!(found(VALUE_BYTES as u64).is_ok() && found(VALUE_BYTES as u64 + 1).is_err());
    }
}
