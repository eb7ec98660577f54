//! Granted buckets of keys and values.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use wasm_host_guest::keyvalue;
//!
//! #[derive(Deserialize, Serialize)]
//! struct Session { cart: Vec<String> }
//!
//! # fn example() -> Result<(), keyvalue::Error> {
//! let sessions = keyvalue::open("sessions")?;
//! sessions.set_json("ada", &Session { cart: vec!["tea".to_owned()] })?;
//! let session: Option<Session> = sessions.get_json("ada")?;
//! let visits = sessions.increment("visits", 1)?;
//! let longer = sessions.update("log", |found| [found.unwrap_or_default(), b"tea\n".into()].concat())?;
//! # Ok(())
//! # }
//! ```
//!
//! The functions are not `async`: a service waits in each of them, which takes microseconds in the memory of the host and
//! in a file, and a round trip to a Redis server. What keys and values may have is in `docs/keyvalue.md`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::wasi::keyvalue::{atomics, batch, store};

/// A granted bucket.
#[derive(Debug)]
pub struct Bucket(store::Bucket);

/// Why a call of a bucket has no answer.
#[derive(Debug)]
pub enum Error {
    /// The application declares no bucket of this name.
    NoSuchBucket,
    /// The service is not granted the bucket.
    NotGranted,
    /// What the host says of the call: the bucket cannot be reached or has no room, or a key, a value or a number does not
    /// fit.
    Call(String),
    /// A value is not the JSON of the type that it was to be read as, or has no JSON.
    Json(serde_json::Error),
}

/// The bucket of this name, which the service must be granted. `default` is the only one that is granted, unless one is
/// called so.
///
/// # Errors
/// [`Error::NoSuchBucket`] and [`Error::NotGranted`].
pub fn open(name: &str) -> Result<Bucket, Error> {
    Ok(Bucket(store::open(name)?))
}

impl Bucket {
    /// The value of a key. None: it is not there.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key)?)
    }

    /// The same, read as JSON.
    ///
    /// # Errors
    /// [`Error::Call`] and [`Error::Json`].
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let value = self.get(key)?;
        value.map(|value| serde_json::from_slice(&value)).transpose().map_err(Error::Json)
    }

    /// Set the value of a key, whether it is there or not.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        Ok(self.0.set(key, value.as_ref())?)
    }

    /// The same, written as JSON.
    ///
    /// # Errors
    /// [`Error::Call`] and [`Error::Json`].
    pub fn set_json(&self, key: &str, value: &impl Serialize) -> Result<(), Error> {
        self.set(key, serde_json::to_vec(value).map_err(Error::Json)?)
    }

    /// A key that is not there is no error.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        Ok(self.0.delete(key)?)
    }

    /// Whether a key is there.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.exists(key)?)
    }

    /// All keys, in no particular order, page by page as they are asked for.
    pub fn keys(&self) -> Keys<'_> {
        Keys { bucket: self, page: Vec::new().into_iter(), next: Some(None) }
    }

    /// Add to a number in decimal digits, and give the sum. A key that is not there counts as zero. No other call comes
    /// in between.
    ///
    /// # Errors
    /// [`Error::Call`]: also where the value is no number.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        Ok(atomics::increment(&self.0, key, delta)?)
    }

    /// Set a value that is made of the one that is there, with no other call in between: if there was one, `change` is
    /// asked again with what is there then. Gives what was set.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn update(
        &self,
        key: &str,
        mut change: impl FnMut(Option<Vec<u8>>) -> Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let mut found = atomics::Cas::new(&self.0, key)?;
        loop {
            let value = change(found.current()?);
            match atomics::swap(found, &value) {
                Ok(()) => return Ok(value),
                Err(atomics::CasError::CasFailed(newer)) => found = newer,
                Err(atomics::CasError::StoreError(error)) => return Err(error.into()),
            }
        }
    }

    /// The values of several keys, in their order.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn get_many<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let found = batch::get_many(&self.0, &owned(keys))?;
        Ok(found.into_iter().map(|(_, value)| value).collect())
    }

    /// Set several values: all of them, or none if it fails.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn set_many<K: AsRef<str>, V: AsRef<[u8]>>(&self, entries: &[(K, V)]) -> Result<(), Error> {
        let entries = entries.iter();
        let entries: Vec<(String, Vec<u8>)> = entries
            .map(|(key, value)| (key.as_ref().to_owned(), value.as_ref().to_owned()))
            .collect();
        Ok(batch::set_many(&self.0, &entries)?)
    }

    /// Delete several keys.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn delete_many<K: AsRef<str>>(&self, keys: &[K]) -> Result<(), Error> {
        Ok(batch::delete_many(&self.0, &owned(keys))?)
    }
}

fn owned<K: AsRef<str>>(keys: &[K]) -> Vec<String> {
    keys.iter().map(|key| key.as_ref().to_owned()).collect()
}

/// The keys of a bucket. After an error there are none.
#[derive(Debug)]
pub struct Keys<'b> {
    bucket: &'b Bucket,
    page: std::vec::IntoIter<String>,
    /// Where the next page begins. None: there is none.
    next: Option<Option<String>>,
}

impl Iterator for Keys<'_> {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.page.next() {
                return Some(Ok(key));
            }
            let cursor = self.next.take()?;
            match self.bucket.0.list_keys(cursor.as_deref()) {
                Ok(store::KeyResponse { keys, cursor }) => {
                    self.page = keys.into_iter();
                    self.next = cursor.map(Some);
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NoSuchStore => Self::NoSuchBucket,
            store::Error::AccessDenied => Self::NotGranted,
            store::Error::Other(why) => Self::Call(why),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchBucket => formatter.write_str("there is no such bucket"),
            Self::NotGranted => formatter.write_str("the bucket is not granted to this service"),
            Self::Call(why) => write!(formatter, "the bucket did not do it: {why}"),
            Self::Json(why) => write!(formatter, "the value does not fit: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(why) => Some(why),
            _ => None,
        }
    }
}
