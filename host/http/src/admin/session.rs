//! Browsers that are signed in to the dashboard: those that came with the token once, by the link that the host prints.
//!
//! A browser gets a cookie that says until when. It is signed with a key of the state folder, so a session outlives the
//! host's restart and the host keeps no list. What changes something has to show, besides, a text that only a page of the
//! control plane can read.

use std::fs;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::Sha256;

use crate::control::Token;
use crate::cookies;
use wasm_host_limits::http::ADMIN_SESSION;
use wasm_host_system::owned;

/// The file below the state folder.
const NAME: &str = "session.key";

/// As many as a block of SHA-256 has.
const KEY_BYTES: usize = 64;

/// What a page shows with what it changes.
pub(super) const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// Makes and checks sessions. Cannot be printed.
pub struct Sessions {
    key: [u8; KEY_BYTES],
    /// Cookies of a host are sent to all of its ports: each application has its own name.
    name: String,
}

/// A session that has not ended.
#[derive(Clone, Copy)]
pub(super) struct Session {
    /// Seconds since 1970.
    until: u64,
}

impl Sessions {
    /// With the key of this state folder, which is made if there is none.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(state_dir: &Path) -> Result<Self> {
        let path = state_dir.join(NAME);
        let key = match read(&path) {
            Ok(Some(key)) => Ok(key),
            Ok(None) => make(&path),
            Err(error) => Err(error),
        };
        let key = key.with_context(|| format!("cannot use {}", path.display()))?;
        let name = format!(
            "{}{}",
            cookies::PREFIX,
            hex::encode(sign(&key, "name", 0).get(..4).unwrap_or_default())
        );
        Ok(Self { key, name })
    }

    /// The cookie of a new session. `is_secure`: the browser asks over TLS, and sends it over nothing else.
    pub(super) fn begin(&self, is_secure: bool) -> Option<HeaderValue> {
        let until = now() + ADMIN_SESSION.as_secs();
        let signed = hex::encode(sign(&self.key, "session", until));
        let (prefix, secure) =
            if is_secure { (cookies::SECURE_PREFIX, "; Secure") } else { ("", "") };
        let (name, age) = (&self.name, ADMIN_SESSION.as_secs());
        let cookie = format!(
            "{prefix}{name}={until}-{signed}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"
        );
        HeaderValue::try_from(cookie).ok()
    }

    /// A cookie that ends the session in a browser.
    pub(super) fn end(&self, is_secure: bool) -> Option<HeaderValue> {
        let (prefix, secure) =
            if is_secure { (cookies::SECURE_PREFIX, "; Secure") } else { ("", "") };
        let name = &self.name;
        let cookie =
            format!("{prefix}{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::try_from(cookie).ok()
    }

    /// The session of a request.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<Session> {
        let lines = headers.get_all(header::COOKIE).iter();
        let cookies = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
        let values = cookies.filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name.strip_prefix(cookies::SECURE_PREFIX).unwrap_or(name) == self.name)
                .then_some(value)
        });
        values.filter_map(|value| self.read(value)).next()
    }

    fn read(&self, value: &str) -> Option<Session> {
        let (until, signed) = value.split_once('-')?;
        let until = until.parse().ok().filter(|until| *until > now())?;
        is_signed(&self.key, "session", until, signed).then_some(Session { until })
    }

    /// What the pages of a session show.
    pub(super) fn csrf(&self, session: Session) -> String {
        hex::encode(sign(&self.key, "csrf", session.until))
    }

    /// Whether a request comes from a page of its session.
    pub(super) fn is_of_page(&self, session: Session, headers: &HeaderMap) -> bool {
        let shown = headers.get(CSRF).and_then(|shown| shown.to_str().ok());
        shown.is_some_and(|shown| is_signed(&self.key, "csrf", session.until, shown))
    }
}

/// Whether the browser is told, by the proxy in front, that it asks over TLS.
pub(super) fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

fn mac(key: &[u8; KEY_BYTES], what: &str, until: u64) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new(key.into());
    mac.update(format!("{what} {until}").as_bytes());
    mac
}

fn sign(key: &[u8; KEY_BYTES], what: &str, until: u64) -> Vec<u8> {
    mac(key, what, until).finalize().into_bytes().to_vec()
}

/// Compared as a whole, so that the time it takes tells nothing.
fn is_signed(key: &[u8; KEY_BYTES], what: &str, until: u64, signed: &str) -> bool {
    hex::decode(signed).is_ok_and(|signed| mac(key, what, until).verify_slice(&signed).is_ok())
}

fn read(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let mut file = match owned::believed(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    let most = 2 * KEY_BYTES as u64;
    Read::by_ref(&mut file).take(most).read_to_string(&mut text)?;
    let mut key = [0; KEY_BYTES];
    // One that was cut off is made anew: all that is lost are its sessions.
    Ok(hex::decode_to_slice(text.trim(), &mut key).ok().map(|()| key))
}

fn make(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let half = || Token::new().map_err(io::Error::other);
    let text = format!("{}{}", half()?.expose(), half()?.expose());
    let mut key = [0; KEY_BYTES];
    hex::decode_to_slice(&text, &mut key).map_err(io::Error::other)?;
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let mut file = {
        use std::os::unix::fs::OpenOptionsExt as _;
        owned::options().write(true).create(true).truncate(true).mode(0o600).open(&partial)?
    };
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn with(cookie: &HeaderValue) -> HeaderMap {
        let value = cookie.to_str().unwrap().split(';').next().unwrap();
        let cookies = format!("other=1; {value}");
        HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())])
    }

    #[test]
    fn a_session_outlives_a_restart_and_not_another_key() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sessions = Sessions::open(folder.path()).unwrap();
        let cookie = sessions.begin(false).unwrap();
        assert!(sessions.of(&with(&cookie)).is_some());
        assert!(Sessions::open(folder.path()).unwrap().of(&with(&cookie)).is_some());
        assert!(Sessions::open(other.path()).unwrap().of(&with(&cookie)).is_none());
        let mode = fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_cookie_is_for_this_site_alone_and_over_tls_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(folder.path()).unwrap();
        let plain = sessions.begin(false).unwrap();
        assert!(plain.to_str().unwrap().ends_with("; HttpOnly; SameSite=Strict"), "{plain:?}");
        let secure = sessions.begin(true).unwrap();
        assert!(secure.to_str().unwrap().starts_with("__Host-wasm-host-"), "{secure:?}");
        assert!(secure.to_str().unwrap().ends_with("; Secure"), "{secure:?}");
        assert!(sessions.of(&with(&secure)).is_some());
    }

    // Fault (Telemetry): a session that is made up, made longer or over | takes it for none | 401 | nothing
    #[test]
    fn a_session_cannot_be_made_up_or_made_longer() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(folder.path()).unwrap();
        let cookie = sessions.begin(false).unwrap();
        let text = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let (until, signed) = text.split_once('=').unwrap().1.split_once('-').unwrap();
        let longer = until.parse::<u64>().unwrap() + 1;
        for value in [
            format!("{longer}-{signed}"),
            format!("{until}-"),
            format!("{until}-{}", "0".repeat(64)),
            format!("{}-{}", 1, hex::encode(sign(&sessions.key, "session", 1))),
            format!("{until}-{}", hex::encode(sign(&sessions.key, "csrf", until.parse().unwrap()))),
        ] {
            let cookie = HeaderValue::try_from(format!("{}={value}", sessions.name)).unwrap();
            assert!(sessions.of(&with(&cookie)).is_none(), "{value}");
        }
    }

    #[test]
    fn what_changes_something_shows_what_only_its_page_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(folder.path()).unwrap();
        let mut headers = with(&sessions.begin(false).unwrap());
        let session = sessions.of(&headers).unwrap();
        assert!(!sessions.is_of_page(session, &headers));
        headers.insert(CSRF, "00".parse().unwrap());
        assert!(!sessions.is_of_page(session, &headers));
        headers.insert(CSRF, sessions.csrf(session).parse().unwrap());
        assert!(sessions.is_of_page(session, &headers));
    }

    // Fault (Telemetry): a key of sessions that was cut off | makes another one | 401 for browsers that were signed in | their sessions
    #[test]
    fn a_key_that_was_cut_off_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        Sessions::open(folder.path()).unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, "abc").unwrap();
        Sessions::open(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().len(), 2 * KEY_BYTES);
    }
}
