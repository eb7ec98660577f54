//! The router beside a model of it that is too simple to be wrong.

use proptest::prelude::*;

use super::Router;

/// Of all services the one whose prefix is longest and ends at a segment of the path.
fn model<'p>(routes: &[String], path: &'p str) -> Option<(usize, &'p str)> {
    let rest = |prefix: &str| match path.strip_prefix(prefix.trim_end_matches('/')) {
        Some("") => Some("/"),
        Some(rest) if rest.starts_with('/') => Some(rest),
        _ => None,
    };
    let found = routes.iter().enumerate();
    let found = found.filter_map(|(number, prefix)| Some((number, prefix.len(), rest(prefix)?)));
    found.max_by_key(|(_, length, _)| *length).map(|(number, _, rest)| (number, rest))
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab%.]{0,2}", 0..5)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

/// As the application file normalises it: `/`, or segments without a slash at the end.
fn prefix() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,2}", 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #[test]
    fn a_path_leads_where_the_model_says(
        prefixes in prop::collection::btree_set(prefix(), 0..6),
        path in path(),
        host in "[a-z]{0,5}(:[0-9]{1,3})?",
    ) {
        let routes: Vec<String> = prefixes.into_iter().collect();
        let mut router = Router::default();
        for (number, prefix) in routes.iter().enumerate() {
            router.add(&format!("service-{number}"), prefix, number);
        }
        let found = router.find(&host, &path).map(|(number, rest)| (*number, rest));
        prop_assert_eq!(found, model(&routes, &path));
    }

    #[test]
    fn a_host_name_leads_to_its_service_or_by_path(
        names in prop::collection::btree_set("[a-c]{1,2}", 0..5),
        asked in "[a-c]{1,2}",
        end in prop::sample::select(&[".localhost", ".LOCALHOST", ".localhost.", ".localhost:80"][..]),
        path in path(),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let mut router = Router::default();
        for name in &names {
            router.add(name, "/named", name.clone());
        }
        router.add("page", "/", "page".to_owned());
        let host = format!("{asked}{end}");
        let found = router.find(&host, &path).map(|(name, rest)| (name.clone(), rest.to_owned()));
        let leads_to = if names.contains(&asked) { asked } else { "page".to_owned() };
        prop_assert_eq!(found, Some((leads_to, path)));
    }

    #[test]
    fn no_host_and_no_path_is_too_much(host in "\\PC*", path in "\\PC*") {
        let mut router = Router::default();
        router.add("a", "/", ());
        router.add("b", "/b", ());
        if let Some((_, rest)) = router.find(&host, &path) {
            prop_assert!(rest == "/" || path.ends_with(rest));
        }
    }
}
