//! The forecast from outside of its crate, by real chance. For a test in a folder the crate is linked natively, its
//! exports and all: a component's own tests may be here.

use std::time::{Duration, UNIX_EPOCH};

use weather::forecast::{DAYS, Date, make};
use weather::random::Seeded;

#[test]
fn forecasts_by_real_chance_keep_what_they_promise() {
    let summaries = ["Mild".to_string(), "Hot".to_string()];
    let today = Date::of(UNIX_EPOCH + Duration::from_secs(1_769_817_600));
    for _ in 0..200 {
        let forecasts = make(today, *DAYS.end(), &summaries, &mut Seeded::new());
        let dates: Vec<_> = forecasts.iter().map(|day| day.date.to_string()).collect();
        assert_eq!(dates.len(), 14);
        assert_eq!((&*dates[0], &*dates[13]), ("2026-02-01", "2026-02-14"));
        for day in &forecasts {
            assert!((-20..55).contains(&day.celsius), "{}", day.celsius);
            assert!(summaries.contains(&day.summary), "{}", day.summary);
        }
    }
}
