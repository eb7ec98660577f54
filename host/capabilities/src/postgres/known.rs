//! What guests call a database, where their interface has them name one.
//!
//! A guest of Spin hands over an address. It is compared, never used: who logs in where, with what password, stands in
//! the application file, and no text made here repeats what a guest handed over.

use super::settings::url::{DatabaseIdentity, place};
use wasm_host_settings::secret::BackendUrl;

/// The name of a granted database, and where it is.
#[derive(Clone)]
pub struct Known {
    name: String,
    /// None: it is the host's own, which has no address.
    place: Option<DatabaseIdentity>,
}

impl Known {
    pub(super) fn new(name: &str, url: Option<&BackendUrl>) -> Self {
        let place = url.and_then(|url| place(url.expose()));
        Self { name: name.to_owned(), place }
    }

    /// What its table in the application file is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is its name, or its address in any of the forms that the application file takes. A password is
    /// passed over.
    pub fn is_meant_by(&self, address: &str) -> bool {
        let address = address.trim();
        address == self.name || self.place.is_some() && place(address) == self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_meant_by_its_name_or_its_address_in_any_form() {
        let url = "postgres://weather:secret@db.example:5433/app";
        let shown = String::new();
        let known = Known::new("shop", Some(&BackendUrl::new(url.to_owned(), shown)));
        for address in [
            "shop",
            " shop\n",
            "postgres://weather:other@db.example:5433/app",
            "postgresql://weather@DB.example:5433/app?application_name=x",
            "host=db.example port=5433 user=weather password='o t' dbname=app",
            "Host=db.example;Port=5433;Username=weather;Password=x;Database=app",
        ] {
            assert!(known.is_meant_by(address), "{address}");
        }
        for address in [
            "",
            "Shop",
            "postgres://weather@db.example/app",
            "postgres://other@db.example:5433/app",
            "postgres://weather@db.example:5433/shop",
            "host=db.example port=5433 user=weather",
            "mysql://weather@db.example:5433/app",
        ] {
            assert!(!known.is_meant_by(address), "{address}");
        }
    }

    #[test]
    fn a_database_of_the_hosts_own_is_meant_by_its_name_alone() {
        let known = Known::new("shop", None);
        assert!(known.is_meant_by("shop"));
        for address in ["", "host=localhost dbname=shop", "nonsense"] {
            assert!(!known.is_meant_by(address), "{address}");
        }
    }

    #[test]
    fn a_port_and_a_database_that_are_left_out_are_libpqs() {
        let url = BackendUrl::new("postgres://u:p@h/u".to_owned(), String::new());
        let known = Known::new("shop", Some(&url));
        assert!(known.is_meant_by("host=h user=u"));
        assert!(known.is_meant_by("postgres://u@h:5432"));
    }
}
