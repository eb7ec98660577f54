//! The application file as it stands in a container: what is the machine's in it becomes the container's.
//!
//! It exists so that the host in a container reads the same file as on a laptop, and not another language beside it.
//! What is changed: where the host listens and keeps its state, where backends without a url are, and where certificate
//! and key are. `[deploy]` is left out, as nothing of it is for the host.

use toml_edit::DocumentMut;

use crate::document;
use crate::image;

/// Where one backend without a url is.
pub(crate) struct LocatedBackend {
    /// The table above it: `postgres` or `ollama`.
    pub key: &'static str,
    pub resource: String,
    pub url: String,
}

/// What stands in the document changes; the rest stays with its comments.
pub(crate) fn change(
    document: &mut DocumentMut,
    backends: &[LocatedBackend],
    names: &[String],
    tls: bool,
) {
    let listen = |port: u16| format!("0.0.0.0:{port}");
    document::set(document, &["http"], "listen", &listen(image::HTTP_PORT));
    let control = format!("127.0.0.1:{}", image::CONTROL_PORT);
    document::set(document, &["admin"], "listen", &control);
    document::set(document, &["admin"], "probes", &listen(image::PROBES_PORT));
    document::set(document, &["state"], "dir", &format!("{}/host", image::STATE));
    for LocatedBackend { key, resource, url } in backends {
        document::set(document, &[key, resource], "url", url);
        if let Some(table) = document::find(document, &[key, resource]) {
            // The room of a database is its volume's there.
            table.remove("size");
        }
    }
    if tls {
        document::set(
            document,
            &["http", "tls"],
            "certificate",
            &format!("{}/tls.crt", image::TLS),
        );
        document::set(document, &["http", "tls"], "key", &format!("{}/tls.key", image::TLS));
    }
    listed(document, names);
    document.remove("deploy");
}

/// What is in front of the host speaks TLS, and HTTP with the host.
pub(crate) fn without_tls(document: &mut DocumentMut) {
    if let Some(http) = document::find(document, &["http"]) {
        http.remove("tls");
    }
}

/// The document before and after a name that `hosts` lists, if it lists it.
pub(crate) fn around_host(text: &str, name: &str) -> Option<(String, String)> {
    const MARK: &str = "host-that-a-chart-names.invalid";
    let mut document = text.parse::<DocumentMut>().ok()?;
    let hosts = document::find(&mut document, &["http"])?.get_mut("hosts")?.as_array_mut()?;
    let listed = hosts.iter_mut().find(|host| host.as_str() == Some(name))?;
    let decor = listed.decor().clone();
    *listed = MARK.into();
    *listed.decor_mut() = decor;
    let text = document.to_string();
    text.split_once(MARK).map(|(before, after)| (before.to_owned(), after.to_owned()))
}

/// Once `hosts` lists names, it must list those by which the cluster asks, too.
fn listed(document: &mut DocumentMut, names: &[String]) {
    let hosts = document::find(document, &["http"]).and_then(|http| http.get_mut("hosts"));
    let Some(hosts) = hosts.and_then(|hosts| hosts.as_array_mut()) else { return };
    for name in names {
        if !hosts.iter().any(|host| host.as_str() == Some(name)) {
            hosts.push(name);
        }
    }
}
