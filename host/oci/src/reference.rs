//! References: `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.
//!
//! Pure. It must not know what a registry answers.

use std::fmt;

use wasm_host_limits::oci::REPOSITORY_CHARACTERS;
use wasm_host_settings::diagnostic::{Problem, quoted};

use crate::digest::ContentDigest;

/// What a reference begins with where a path could stand, too.
pub const SCHEME: &str = "oci://";

/// What Docker's own registry is called.
pub(crate) const DOCKER_HUB: &str = "docker.io";

/// Characters of a tag, as registries have it.
const TAG_CHARACTERS: usize = 128;

const FORM: &str = "write oci://HOST/REPOSITORY:TAG, as in oci://registry.example/shop/weather:1.2";

/// Which content of which repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// With its port, as `[registry."HOST"]` and files of credentials name it.
    pub host: String,
    pub repository: String,
    /// A tag may be moved to other content at any time.
    pub tag: Option<String>,
    /// The digest of the manifest, which cannot.
    pub digest: Option<ContentDigest>,
}

impl Reference {
    /// Reads what begins with `oci://`, which may be left out.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| {
            Problem::new(format!("{} is no reference: {what}", quoted(text)), FORM.to_owned())
        };
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        if rest.contains("://") {
            return Err(wrong("it begins with oci://"));
        }
        let (host, rest) =
            rest.split_once('/').ok_or_else(|| wrong("there is no repository behind the host"))?;
        if !is_host(host) {
            let what = "it begins with the name of a host, with a dot or a port in it";
            return Err(wrong(what));
        }
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse();
                (rest, Some(digest.map_err(|error| wrong(&format!("{error}")))?))
            }
            None => (rest, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if !is_repository(repository) {
            return Err(wrong(
                "a repository has small letters, digits, and '/', '-', '_' and '.' in between",
            ));
        }
        if !tag.is_none_or(is_tag) {
            return Err(wrong("a tag has letters, digits, '.', '-' and '_', and at most 128"));
        }
        if tag.is_none() && digest.is_none() {
            return Err(Problem::new(
                format!("{} has neither a tag nor a digest", quoted(text)),
                "add one, as in :1.2 or @sha256:..., so that the file says which version it means"
                    .to_owned(),
            ));
        }
        Ok(Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The same repository, and exactly this content.
    pub fn at(&self, digest: ContentDigest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// What a registry is asked for: the digest where there is one.
    pub(crate) fn target(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            // `parse` lets none through without either.
            (None, None) => "latest".to_owned(),
        }
    }

    /// The repository as its registry calls it.
    pub(crate) fn path(&self) -> String {
        match self.host == DOCKER_HUB && !self.repository.contains('/') {
            // What Docker itself keeps is called by its last name everywhere else.
            true => format!("library/{}", self.repository),
            false => self.repository.clone(),
        }
    }

    /// Host and repository.
    pub fn place(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(formatter, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// As in `registry.example`, `localhost`, `127.0.0.1:5000` and `[::1]:5000`. A word alone would be a repository of
/// another host in what other tools write.
pub fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_ip = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .is_some_and(|name| name.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = !name.is_empty()
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
    (is_ip || is_name)
        && port.is_none_or(is_port)
        && (is_ip || port.is_some() || name.contains('.') || name == "localhost")
}

/// Path components of small letters and digits, with one '.', one or two '_', or any number of '-' in between.
fn is_repository(name: &str) -> bool {
    let is_component = |component: &str| {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = component.as_bytes();
        bytes.first().copied().is_some_and(is_word)
            && bytes.last().copied().is_some_and(is_word)
            && component.split(|character: char| is_word(character.try_into().unwrap_or(b'!'))).all(
                |between| {
                    matches!(between, "" | "." | "_" | "__")
                        || between.bytes().all(|byte| byte == b'-')
                },
            )
    };
    name.len() <= REPOSITORY_CHARACTERS && name.split('/').all(is_component)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_CHARACTERS
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_read_as_they_are_written() {
        for text in [
            "oci://registry.example/shop/weather:1.2".to_owned(),
            "oci://127.0.0.1:5000/weather:v1-b_c".to_owned(),
            "oci://[::1]:5000/a/b/c:1".to_owned(),
            "oci://localhost/a__b/c.d/e--f:_x".to_owned(),
            format!("oci://registry.example/shop/weather@{DIGEST}"),
            format!("oci://registry.example/shop/weather:1.2@{DIGEST}"),
        ] {
            let reference = Reference::parse(&text).unwrap();
            assert_eq!(reference.to_string(), text);
            let short = text.strip_prefix(SCHEME).unwrap();
            assert_eq!(Reference::parse(short).unwrap(), reference);
        }
    }

    #[test]
    fn what_docker_keeps_itself_is_called_by_its_last_name() {
        let path = |text| Reference::parse(text).unwrap().path();
        assert_eq!(path("oci://docker.io/weather:1"), "library/weather");
        assert_eq!(path("oci://docker.io/shop/weather:1"), "shop/weather");
        assert_eq!(path("oci://registry.example/weather:1"), "weather");
    }

    #[test]
    fn what_is_no_reference_is_told_with_why() {
        for (text, why) in [
            ("oci://registry.example", "no repository"),
            ("shop/weather:1", "the name of a host"),
            ("oci://a_b.example/x:1", "the name of a host"),
            ("oci://host:0/x:1", "the name of a host"),
            ("oci://host:99999/x:1", "the name of a host"),
            ("oci://registry.example/Shop:1", "small letters"),
            ("oci://registry.example/a//b:1", "small letters"),
            ("oci://registry.example/a...b:1", "small letters"),
            ("oci://registry.example/é:1", "small letters"),
            ("oci://registry.example/../x:1", "small letters"),
            ("oci://registry.example/x:", "a tag has"),
            ("oci://registry.example/x:a:b", "a tag has"),
            ("oci://registry.example/x:a/b", "a tag has"),
            ("oci://registry.example/x", "neither a tag nor a digest"),
            ("oci://registry.example/x@sha512:00", "sha256:"),
            ("https://registry.example/x:1", "begins with oci://"),
        ] {
            let problem = Reference::parse(text).unwrap_err();
            assert!(problem.message.contains(why), "{text}: {}", problem.message);
            assert!(problem.hint.is_some());
        }
    }
}
