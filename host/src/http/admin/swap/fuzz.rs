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
    fn any_json_body_is_a_path_or_malformed(body in any::<Vec<u8>>(), text in "\\PC{0,40}") {
        let _ = serde_json::from_slice::<Named>(&body);
        let quoted = serde_json::json!({ "path": text }).to_string();
        let named: Named = serde_json::from_str(&quoted).unwrap();
        prop_assert_eq!(named.path, PathBuf::from(text));
    }
}
