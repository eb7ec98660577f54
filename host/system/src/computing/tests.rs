use std::sync::atomic::AtomicBool;

use super::*;

/// A task that says itself whether it computes.
#[derive(Default)]
struct Computes(AtomicBool);

impl Facts for Computes {
    fn is_computing(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Turns of so many microseconds and requests, each after a wait of so many microseconds; what is known then, and
/// when that is.
fn weight(turns: impl IntoIterator<Item = (u64, usize, u64)>) -> (Weight, Instant) {
    let (weight, mut now) = (Weight::default(), *START);
    for (turn, requests, wait) in turns {
        let turn = Duration::from_micros(turn);
        now += Duration::from_micros(wait) + turn;
        weight.add(turn, requests, now);
    }
    (weight, now)
}

#[test]
fn what_takes_much_in_long_turns_is_heavy() {
    let (leak, now) = weight([(700, 1, 0), (10, 1, 0), (10, 1, 0), (10, 1, 0)].repeat(10));
    assert!(leak.is_heavy(now));
    let (several, now) = weight([(700, 1, 1000); 20]);
    assert!(several.is_heavy(now));
}

#[test]
fn long_turns_now_and_then_many_short_ones_and_many_requests_in_one_are_not() {
    for turns in [[(900, 1, 10_000); 200], [(200, 1, 0); 200], [(700, 16, 0); 200]] {
        let (weight, now) = weight(turns);
        assert!(!weight.is_heavy(now), "{turns:?}");
    }
}

#[test]
fn what_was_heavy_is_light_after_some_rest() {
    let (weight, now) = weight([(700, 1, 0); 2000]);
    let share = bounds::LONG_TURNS_SHARE;
    let rest = (bounds::HEAVY_MOST - bounds::SUSPECTED) * share;
    let almost = now + rest - Duration::from_millis(20);
    assert!(!weight.is_light(almost) && !weight.is_heavy(almost));
    assert!(weight.is_light(now + rest + Duration::from_millis(1)));
    // Not even a look from before changes that.
    assert!(weight.is_suspected(now));
    assert!(!weight.is_suspected(now + bounds::HEAVY_MOST * share + Duration::from_millis(1)));
}

#[test]
fn a_suspicion_lasts_and_counts_little() {
    let weight = Weight::default();
    for _ in 0..100 {
        weight.suspect(*START);
    }
    assert!(weight.is_suspected(*START) && weight.is_light(*START));
    let over = *START + bounds::SUSPECTED * bounds::LONG_TURNS_SHARE;
    assert!(!weight.is_suspected(over));
}

/// Turns at home after which a task is elsewhere, of which each passes a tick in this way, so long after the one
/// before. None: it stays. And the processor time of the longest.
fn turns_at_home(pass: fn(), pause: Duration) -> (Option<usize>, Duration) {
    let home = Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = home.enter();
    let facts = Arc::new(Computes::default());
    let (here, ticking) = (std::thread::current().id(), facts.clone());
    let task: Task = Box::pin(std::future::poll_fn(move |_| {
        if std::thread::current().id() != here {
            return Poll::Ready(());
        }
        pass();
        ticking.0.store(true, Ordering::Relaxed);
        Poll::Pending
    }));
    let shared = Shared { task, facts, weight: Arc::default(), suspected: false };
    let mut home = Home(Some(shared));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut longest = Duration::ZERO;
    let left = (1..=20).find(|_| {
        let before = processor_time();
        let _ = Pin::new(&mut home).poll(&mut cx);
        longest = longest.max(processor_time().saturating_sub(before));
        std::thread::sleep(pause);
        home.0.is_none()
    });
    (left, longest)
}

#[test]
fn what_computes_from_tick_to_tick_leaves_after_two_however_long_others_have_their_turns_in_between()
 {
    let compute = || {
        let begun = processor_time();
        while processor_time() - begun < limits::EPOCH_TICK {}
    };
    assert_eq!(turns_at_home(compute, Duration::ZERO).0, Some(2));
    // Longer than those that are like it stay suspected.
    let long = bounds::SUSPECTED * bounds::LONG_TURNS_SHARE * 3;
    assert_eq!(turns_at_home(compute, long).0, Some(2));
}

#[test]
fn what_others_kept_from_the_processor_for_a_tick_stays() {
    let wait = || std::thread::sleep(limits::EPOCH_TICK);
    // A machine that is virtual may count what others had as this thread's: such a round says nothing.
    let mut rounds = std::iter::repeat_with(|| turns_at_home(wait, Duration::ZERO)).take(200);
    let counted = rounds.find(|(_, longest)| *longest < bounds::LONG_TURN);
    assert_eq!(counted.map(|(left, _)| left), Some(None), "no thread has time of its own here");
}

#[test]
fn a_turn_of_a_statement_is_long_only_with_many_bytes() {
    assert!(!may_be_long(&()));
    handled(bounds::LONG_TURN_BYTES);
    assert!(may_be_long(&()));
    // Those were of the turn before.
    assert!(!may_be_long(&()));
    assert!(may_be_long(&Computes::default()));
}

/// A task away from home that waits for a timer there. Its `dropped` tells that it was given up.
fn away(home: &Runtime, stop: &'static Stop) -> (Away, std::sync::Weak<()>) {
    let held = Arc::new(());
    let dropped = Arc::downgrade(&held);
    let task: Task = Box::pin(async move {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        drop(held);
    });
    let facts = Arc::new(());
    let shared = Some(Shared { task, facts, weight: Arc::default(), suspected: false });
    (Away { shared, home: home.handle().clone(), thread: None, stop }, dropped)
}

#[test]
fn what_computes_is_given_up_before_its_home_is_gone() {
    static STOP: Stop = Stop::new();
    let home = Builder::new_current_thread().enable_all().build().unwrap();
    let (mut away, dropped) = away(&home, &STOP);
    // Heavy, so that it stays where it is.
    let weight = &away.shared.as_ref().unwrap().weight;
    for _ in 0..100 {
        weight.add(bounds::HEAVY_MOST, 1, Instant::now());
    }
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut away).poll(&mut cx).is_pending());
    STOP.stop();
    home.shutdown_timeout(Duration::ZERO);
    assert!(Pin::new(&mut away).poll(&mut cx).is_ready());
    assert!(dropped.upgrade().is_none(), "it is still there");
}
