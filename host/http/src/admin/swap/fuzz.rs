//! Queries and bodies by chance: understood, or refused as the client's fault.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_query_is_understood_or_malformed(
        query in "\\PC{0,60}|((canary|for|cause|x)=[-0-9a-z%.]{0,8}&?){0,5}",
    ) {
        let canary = asked(Some(&query)).and_then(|asked| {
            if let Some(cause) = &asked.cause {
                assert!(cause.chars().count() <= limits::CAUSE_CHARACTERS);
                assert!(!cause.chars().any(char::is_control), "{cause:?}");
            }
            asked.canary()
        });
        match canary {
            Ok(Some(terms)) => {
                prop_assert!((1..100).contains(&terms.percent));
                prop_assert!((limits::CANARY_MIN..=limits::CANARY_MAX).contains(&terms.duration));
            }
            Ok(None) => {}
            Err(failure) => prop_assert_eq!(failure.kind, Kind::Malformed),
        }
    }

    #[test]
    fn any_json_body_names_a_component_or_is_malformed(
        body in prop_oneof![any::<Vec<u8>>(), "[{}\\[\\]\":, a-z/]{0,20}".prop_map(String::into_bytes)],
        path in "/?\\PC{0,40}",
        other in "[a-z]{1,6}",
    ) {
        match named(&body) {
            Ok(ComponentSource::File { path }) => prop_assert!(path.is_absolute(), "{path:?}"),
            Ok(ComponentSource::Registry { .. }) => {}
            Err(failure) => prop_assert_eq!(failure.kind, Kind::Malformed),
        }
        let sound = serde_json::json!({ "path": path });
        match named(sound.to_string().as_bytes()) {
            Ok(read) => {
                prop_assert!(path.starts_with('/'), "{path:?} is relative");
                prop_assert_eq!(read, ComponentSource::File { path: path.clone().into() });
            }
            Err(failure) => {
                prop_assert!(!path.starts_with('/'), "{path:?} is absolute");
                prop_assert_eq!(failure.kind, Kind::Malformed);
            }
        }
        // A key that is not known is no key that may be left out.
        let mut more = sound;
        more[format!("not-{other}")] = true.into();
        prop_assert!(named(more.to_string().as_bytes()).is_err(), "{more}");
        let both = serde_json::json!({ "path": path, "reference": other });
        prop_assert!(named(both.to_string().as_bytes()).is_err(), "{both}");
    }
}
