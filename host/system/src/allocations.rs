//! What the program allocates in one piece while it polls a future: too much of it ends the future.
//!
//! It exists because the database driver has no bound of its own: it makes room for the whole of a message as soon as
//! it has read how long that is going to be, and one poll then reads for as long as the server sends. Room into which
//! nothing was read takes no memory. So [`Watched`] stands before the program's allocator and sees how much room is
//! made, [`within`] gives the future up at the end of that poll, and [`may_receive`], which `main.rs` asks before it
//! receives anything, brings that end about.
//!
//! In programs with another allocator, such as those that are built with the test kit, nothing is seen: there a message
//! is read whole, and refused when it is looked at. It knows neither the driver nor what room is made for.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Bytes of one allocation from which on it is seen. Nothing that a request does usually comes near, and every bound on
/// single allocations is above.
const SEEN_BYTES: usize = 1024 * 1024;

thread_local! {
    /// Bytes that what is polled may allocate in one piece.
    static MOST: Cell<usize> = const { Cell::new(usize::MAX) };
    /// It has allocated more.
    static EXCEEDED: Cell<bool> = const { Cell::new(false) };
}

/// A future wanted more room in one piece than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded;

/// What `work` gives, unless it allocates more than `most` bytes in one piece. What it works on is then in the middle
/// of something, and can only be dropped. Bounds below a mebibyte are not kept.
pub async fn within<T>(most: usize, work: impl Future<Output = T>) -> Result<T, Exceeded> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let watch = Watch::begin(most);
        let polled = work.as_mut().poll(cx);
        match watch.is_exceeded() {
            true => Poll::Ready(Err(Exceeded)),
            false => polled.map(Ok),
        }
    })
    .await
}

/// Do `work`, which has other bounds, in the middle of a future that is watched.
pub fn unwatched<T>(work: impl FnOnce() -> T) -> T {
    let _watch = Watch::begin(usize::MAX);
    work()
}

/// Whether this thread may receive anything. Not for the rest of a poll that has allocated too much: what it would
/// receive is what the room was made for.
pub fn may_receive() -> bool {
    !EXCEEDED.get()
}

/// Watches this thread until it is dropped, instead of what was watched before.
struct Watch {
    most: usize,
    exceeded: bool,
}

impl Watch {
    fn begin(most: usize) -> Self {
        Self { most: MOST.replace(most), exceeded: EXCEEDED.replace(false) }
    }

    fn is_exceeded(&self) -> bool {
        EXCEEDED.get()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        MOST.set(self.most);
        EXCEEDED.set(self.exceeded);
    }
}

/// An allocator that is watched.
pub struct Watched<A>(pub A);

/// All that it costs usually is the first comparison.
#[inline]
fn see(bytes: usize) {
    if bytes > SEEN_BYTES {
        see_large(bytes);
    }
}

#[cold]
fn see_large(bytes: usize) {
    if bytes > MOST.get() {
        EXCEEDED.set(true);
    }
}

#[expect(
    unsafe_code,
    reason = "an allocator cannot be written without; it hands everything on as it is"
)]
// SAFETY: each call goes to the allocator behind it, unchanged, and its answer back. Looking at the size neither
// allocates, as the thread's variables are constant at first and have nothing to drop, nor unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Watched<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        see(layout.size());
        // SAFETY: the caller keeps what this function asks for, which is the same.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        see(layout.size());
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        see(bytes);
        // SAFETY: as above.
        unsafe { self.0.realloc(place, layout, bytes) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(place, layout) }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tokio::task::yield_now;

    use super::*;

    const MOST_BYTES: usize = 2 * SEEN_BYTES;

    /// Make room that nothing is put into.
    fn make_room(bytes: usize) {
        std::hint::black_box(Vec::<u8>::with_capacity(bytes));
    }

    #[tokio::test]
    async fn room_up_to_the_bound_is_free() {
        let work = async {
            for _ in 0..3 {
                make_room(MOST_BYTES);
                yield_now().await;
            }
            "done"
        };
        assert_eq!(within(MOST_BYTES, work).await, Ok("done"));
    }

    #[tokio::test]
    async fn more_room_ends_the_future_at_that_poll() {
        let mut polls = 0;
        let work = async {
            polls += 1;
            yield_now().await;
            polls += 1;
            make_room(MOST_BYTES + 1);
            yield_now().await;
            polls += 1;
        };
        assert_eq!(within(MOST_BYTES, work).await, Err(Exceeded));
        assert_eq!(polls, 2);
    }

    #[tokio::test]
    async fn what_was_done_with_too_much_room_does_not_count() {
        let work = async { make_room(MOST_BYTES + 1) };
        assert_eq!(within(MOST_BYTES, work).await, Err(Exceeded));
    }

    #[tokio::test]
    async fn room_is_seen_however_it_is_made() {
        let zeroed = async { drop(std::hint::black_box(vec![0_u8; MOST_BYTES + 1])) };
        assert_eq!(within(MOST_BYTES, zeroed).await, Err(Exceeded));
        let grown = async {
            let mut bytes = Vec::<u8>::with_capacity(16);
            bytes.push(1);
            bytes.reserve_exact(MOST_BYTES + 1);
            std::hint::black_box(bytes);
        };
        assert_eq!(within(MOST_BYTES, grown).await, Err(Exceeded));
    }

    #[tokio::test]
    async fn nothing_is_received_for_the_rest_of_the_poll_and_anything_after_it() {
        let mut allowed = Vec::new();
        let work = async {
            allowed.push(may_receive());
            make_room(MOST_BYTES + 1);
            allowed.push(may_receive());
        };
        assert_eq!(within(MOST_BYTES, work).await, Err(Exceeded));
        allowed.push(may_receive());
        assert_eq!(allowed, [true, false, true]);
    }

    #[tokio::test]
    async fn what_has_other_bounds_is_not_watched_and_what_follows_is() {
        let work = async {
            unwatched(|| make_room(MOST_BYTES + 1));
            assert!(may_receive());
        };
        assert_eq!(within(MOST_BYTES, work).await, Ok(()));
        let work = async {
            make_room(MOST_BYTES + 1);
            unwatched(|| assert!(may_receive()));
        };
        assert_eq!(within(MOST_BYTES, work).await, Err(Exceeded));
    }

    #[tokio::test]
    async fn one_inside_another_has_its_own_bound() {
        let inner = within(2 * MOST_BYTES, async { make_room(MOST_BYTES + 1) });
        assert_eq!(within(MOST_BYTES, inner).await, Ok(Ok(())));
        let inner = within(MOST_BYTES, async { make_room(MOST_BYTES + 1) });
        assert_eq!(within(2 * MOST_BYTES, inner).await, Ok(Err(Exceeded)));
    }

    #[test]
    fn a_panic_leaves_nothing_watched() {
        let panics = std::panic::catch_unwind(|| {
            let mut work = pin!(within(MOST_BYTES, async {
                make_room(MOST_BYTES + 1);
                panic!("as a driver might");
            }));
            let _: Poll<Result<(), _>> =
                work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        assert!(panics.is_err());
        assert!(may_receive());
        assert_eq!(MOST.get(), usize::MAX);
    }
}
