//! Routes of Spin as routes of this host, which are prefixes. Pure.

/// A prefix, and what it says otherwise than Spin's route did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) path: String,
    pub(super) told: Option<String>,
}

pub(super) fn prefix(route: &str) -> Prefix {
    let (whole, is_exact) = match route.strip_suffix("/...") {
        Some(start) => (start, false),
        None => (route, true),
    };
    let segments = whole.split('/').filter(|segment| !segment.is_empty());
    let fixed: Vec<&str> = segments.clone().take_while(|it| !is_variable(it)).collect();
    let is_cut = fixed.len() < segments.count();
    let path = format!("/{}", fixed.join("/"));
    let told = if is_cut {
        Some(format!(
            "the route {route} has a part that may be anything; here it is {path}, with all below it"
        ))
    } else if is_exact {
        Some(format!("the route {route} is that path alone; here it is {path}, with all below it"))
    } else {
        None
    };
    Prefix { path, told }
}

/// `:name` and `*`, which stand for one part or for several.
fn is_variable(segment: &str) -> bool {
    segment.starts_with(':') || segment.contains('*') || segment == "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_the_prefix_that_takes_all_that_it_took() {
        for (route, path, is_told) in [
            ("/...", "/", false),
            ("/", "/", true),
            ("/hello/...", "/hello", false),
            ("/hello", "/hello", true),
            ("/users/:id", "/users", true),
            ("/users/:id/...", "/users", true),
            ("/a/*", "/a", true),
        ] {
            let prefix = prefix(route);
            assert_eq!((prefix.path.as_str(), prefix.told.is_some()), (path, is_told), "{route}");
        }
    }
}
