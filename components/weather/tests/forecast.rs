//! The forecast from outside of its crate, by real chance. For a test in a folder the crate is linked natively, its
//! exports and all: a component's own tests may be here.

use fastrand::Rng;
use jiff::civil::date;
use weather::forecast::{DAYS, make};

#[test]
fn forecasts_by_real_chance_keep_what_they_promise() {
    let summaries = ["Mild".to_string(), "Hot".to_string()];
    let today = date(2026, 1, 31);
    for _ in 0..200 {
        let forecasts = make(today, *DAYS.end(), &summaries, &mut Rng::new());
        let dates: Vec<_> = forecasts.iter().map(|day| day.date.to_string()).collect();
        assert_eq!(dates.len(), 14);
        assert_eq!((&*dates[0], &*dates[13]), ("2026-02-01", "2026-02-14"));
        for day in &forecasts {
            assert!((-20..55).contains(&day.temperature_c), "{}", day.temperature_c);
            assert!(summaries.contains(&day.summary), "{}", day.summary);
        }
    }
}
