//! Which service answers: by host name, if that is exactly `<service>.localhost`, else by the longest path prefix.
//! Pure.

/// A route table.
pub struct Router<T> {
    /// Longest prefix first, each with its service's name.
    prefixes: Vec<(String, T)>,
    names: Vec<(String, T)>,
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self { prefixes: Vec::new(), names: Vec::new() }
    }
}

impl<T: Clone> Router<T> {
    /// Add a service that is reachable from outside. `prefix` is normalised: `/` or without a `/` at its end.
    pub fn add(&mut self, name: &str, prefix: &str, target: T) {
        self.names.push((name.to_string(), target.clone()));
        self.add_prefix(prefix, target);
    }

    /// Add what is no service, and has no name that a host could be called by.
    pub fn add_prefix(&mut self, prefix: &str, target: T) {
        self.prefixes.push((prefix.trim_end_matches('/').to_string(), target));
        self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }

    /// The service for a request and the path that is left for it, without the prefix.
    ///
    /// A path that is the prefix itself leaves `/`. Nothing is redirected: a redirect turns a POST
    /// into a GET without its body.
    pub fn find<'p>(&self, host: &str, path: &'p str) -> Option<(&T, &'p str)> {
        let named = service_of_host(host)
            .and_then(|name| self.names.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)));
        if let Some((_, target)) = named {
            return Some((target, path));
        }
        self.prefixes.iter().find_map(|(prefix, target)| {
            let rest = path.strip_prefix(prefix.as_str())?;
            match rest {
                "" => Some((target, "/")),
                rest if rest.starts_with('/') => Some((target, rest)),
                _ => None,
            }
        })
    }
}

/// The part of a path that was taken off to leave `rest`.
pub fn stripped<'p>(path: &'p str, rest: &str) -> &'p str {
    // A path that is the prefix itself does not end with the `/` that is left.
    path.strip_suffix(rest).unwrap_or(path)
}

/// `weather` of `weather.localhost:8080`.
fn service_of_host(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let (service, domain) = name.trim_end_matches('.').rsplit_once('.')?;
    (domain.eq_ignore_ascii_case("localhost") && !service.is_empty()).then_some(service)
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router<&'static str> {
        let mut router = Router::default();
        router.add("react", "/", "react");
        router.add("weather", "/weather", "weather");
        router.add("deep", "/weather/deep", "deep");
        router
    }

    #[test]
    fn the_longest_prefix_wins_and_is_stripped() {
        let router = router();
        let find = |path| router.find("localhost:8080", path).map(|(target, rest)| (*target, rest));
        assert_eq!(find("/"), Some(("react", "/")));
        assert_eq!(find("/index.html"), Some(("react", "/index.html")));
        assert_eq!(find("/weather"), Some(("weather", "/")));
        assert_eq!(find("/weather/"), Some(("weather", "/")));
        assert_eq!(find("/weather/forecast"), Some(("weather", "/forecast")));
        assert_eq!(find("/weather/deep/er"), Some(("deep", "/er")));
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let router = router();
        assert_eq!(router.find("h", "/weatherman"), Some((&"react", "/weatherman")));
        assert_eq!(router.find("h", "/weather/deeper"), Some((&"weather", "/deeper")));
    }

    #[test]
    fn a_host_name_selects_a_service_with_its_whole_path() {
        let router = router();
        assert_eq!(
            router.find("weather.localhost:8080", "/weather/x"),
            Some((&"weather", "/weather/x"))
        );
        assert_eq!(router.find("weather.localhost", "/"), Some((&"weather", "/")));
        assert_eq!(router.find("Weather.LOCALHOST.:80", "/"), Some((&"weather", "/")));
        // Names that are no service's are names of this host, whatever they end with.
        for host in ["nobody.localhost", "myapp.dev.localhost:8080", "weather.dev.localhost", "."] {
            let found = router.find(host, "/weather/x");
            assert_eq!(found, Some((&"weather", "/x")), "{host}");
        }
        assert_eq!(router.find("localhost", "/"), Some((&"react", "/")));
    }

    #[test]
    fn what_is_left_and_what_was_taken_off_are_the_path() {
        let router = router();
        for (host, path, expected) in [
            ("h", "/", ""),
            ("h", "/index.html", ""),
            ("h", "/weather", "/weather"),
            ("h", "/weather/", "/weather"),
            ("h", "/weather/weather", "/weather"),
            ("h", "/weather/deep/er", "/weather/deep"),
            ("weather.localhost", "/weather", ""),
        ] {
            let (_, rest) = router.find(host, path).unwrap();
            assert_eq!(stripped(path, rest), expected, "{host}{path}");
        }
    }

    #[test]
    fn without_a_root_route_unknown_paths_lead_nowhere() {
        let mut router = Router::default();
        router.add("weather", "/weather", ());
        assert_eq!(router.find("h", "/other"), None);
    }
}
