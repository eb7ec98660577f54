//! The buckets that a service is granted, by the names that it opens them by.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::backend::{Bucket, Error};
use super::seam::SeamBucket;
use crate::function::Seam;

/// What components of Spin and wasmCloud open, which have a bucket without a name of its own.
const DEFAULT: &str = "default";

/// The buckets of one service. Cheap to clone.
#[derive(Clone)]
pub struct Buckets(Kind);

#[derive(Clone)]
enum Kind {
    Granted(Arc<Granted>),
    /// The same, called through a seam.
    Watched(Arc<Granted>, Arc<dyn Seam>),
    /// A script answers for every bucket.
    Scripted(Arc<dyn Seam>),
}

#[derive(Clone)]
struct Granted {
    buckets: BTreeMap<String, Arc<dyn Bucket>>,
    /// The names of all that the application declares.
    declared: Arc<[String]>,
}

impl Buckets {
    /// None yet, of an application that declares these.
    pub(super) fn none(declared: Arc<[String]>) -> Self {
        Self(Kind::Granted(Arc::new(Granted { buckets: BTreeMap::new(), declared })))
    }

    /// With one more.
    pub(super) fn with(self, name: &str, bucket: Arc<dyn Bucket>) -> Self {
        let Kind::Granted(granted) = self.0 else { return self };
        let mut granted = Arc::unwrap_or_clone(granted);
        granted.buckets.insert(name.to_owned(), bucket);
        Self(Kind::Granted(Arc::new(granted)))
    }

    /// The same, called through a seam; without buckets, all are the seam's.
    pub(super) fn behind(seam: Arc<dyn Seam>, buckets: Option<Self>) -> Self {
        Self(match buckets.map(|Self(kind)| kind) {
            Some(Kind::Granted(granted) | Kind::Watched(granted, _)) => {
                Kind::Watched(granted, seam)
            }
            Some(Kind::Scripted(_)) | None => Kind::Scripted(seam),
        })
    }

    /// The bucket of this name. `default`, and the empty name, are the only one that is granted, unless one is called so.
    ///
    /// Calls through a seam have the name that the component said: a script knows no other.
    pub(crate) fn open(&self, name: &str) -> Result<Arc<dyn Bucket>, Error> {
        let (seam, bucket) = match &self.0 {
            Kind::Granted(granted) => return granted.open(name),
            Kind::Watched(granted, seam) => (seam, Some(granted.open(name)?)),
            Kind::Scripted(seam) => (seam, None),
        };
        Ok(Arc::new(SeamBucket::new(name, seam.clone(), bucket)))
    }
}

impl Granted {
    fn open(&self, name: &str) -> Result<Arc<dyn Bucket>, Error> {
        if let Some(bucket) = self.buckets.get(name) {
            return Ok(bucket.clone());
        }
        let mut all = self.buckets.values();
        match (all.next(), all.next()) {
            (Some(only), None) if name.is_empty() || name == DEFAULT => Ok(only.clone()),
            _ if self.declared.iter().any(|declared| declared == name) => Err(Error::AccessDenied),
            _ => Err(Error::NoSuchStore),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::memory;
    use super::*;

    #[test]
    fn a_bucket_is_opened_by_its_name_if_it_is_granted() {
        let declared: Arc<[String]> = ["carts", "sessions", "default"].map(str::to_owned).into();
        let bucket = |name| memory(name) as Arc<dyn Bucket>;
        let is = |buckets: &Buckets, name: &str, bucket: &Arc<dyn Bucket>| {
            buckets.open(name).is_ok_and(|opened| Arc::ptr_eq(&opened, bucket))
        };
        let (carts, sessions) = (bucket("carts"), bucket("sessions"));
        let one = Buckets::none(declared).with("carts", carts.clone());
        assert!(is(&one, "carts", &carts));
        assert!(is(&one, "default", &carts) && is(&one, "", &carts));
        assert_eq!(one.open("sessions").err(), Some(Error::AccessDenied));
        assert_eq!(one.open("nonsense").err(), Some(Error::NoSuchStore));
        let two = one.with("sessions", sessions.clone());
        assert!(is(&two, "sessions", &sessions) && is(&two, "carts", &carts));
        assert_eq!(two.open("default").err(), Some(Error::AccessDenied));
        assert_eq!(two.open("").err(), Some(Error::NoSuchStore));
        let named = bucket("default");
        assert!(is(&two.with("default", named.clone()), "default", &named));
    }
}
