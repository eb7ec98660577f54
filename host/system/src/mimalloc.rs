//! The program's allocator: mimalloc, asked in its cheapest way.
//!
//! It exists because the crate `mimalloc` asks for every alignment by name, also for those that every allocation has.
//! That costs some 40 instructions each time. From a kibibyte on it takes more than was asked for besides, because
//! room to align is added, and 4096 bytes become 5120.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys as ffi;

/// What the library aligns everything to that is as large: its `MI_MAX_ALIGN_SIZE`, which C demands of every allocator
/// for the sake of its largest scalar.
const NATURAL_ALIGNMENT: usize = 16;

/// Whether an allocation of `layout` is aligned as it is to be without asking for that.
#[inline]
fn is_natural(layout: Layout) -> bool {
    layout.align() <= NATURAL_ALIGNMENT && layout.align() <= layout.size()
}

/// The library as an allocator of Rust.
pub struct Mimalloc;

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: sizes and alignments go to the library as they are, but for those alignments that it keeps by itself. What
// one of its functions allocated, any other may reallocate or free. None of them unwinds.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the library may be called with any size, and with any power of two.
        unsafe {
            match is_natural(layout) {
                true => ffi::mi_malloc(layout.size()),
                false => ffi::mi_malloc_aligned(layout.size(), layout.align()),
            }
            .cast()
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            match is_natural(layout) {
                true => ffi::mi_zalloc(layout.size()),
                false => ffi::mi_zalloc_aligned(layout.size(), layout.align()),
            }
            .cast()
        }
    }

    #[inline]
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let is_natural = layout.align() <= NATURAL_ALIGNMENT && layout.align() <= bytes;
        // SAFETY: as above; the caller says that `place` is the library's and alive.
        unsafe {
            match is_natural {
                true => ffi::mi_realloc(place.cast(), bytes),
                false => ffi::mi_realloc_aligned(place.cast(), bytes, layout.align()),
            }
            .cast()
        }
    }

    #[inline]
    unsafe fn dealloc(&self, place: *mut u8, _layout: Layout) {
        // SAFETY: the caller says that `place` is the library's and alive.
        unsafe { ffi::mi_free(place.cast()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes around every power of two up to 256 KiB, where the library changes how it looks for room.
    fn sizes() -> impl Iterator<Item = usize> {
        (0..=18).flat_map(|power: u32| {
            let around = 1_usize << power;
            around.saturating_sub(3).max(1)..=around + 3
        })
    }

    #[expect(unsafe_code, reason = "the allocator is called by hand")]
    #[test]
    fn everything_is_aligned_as_asked_and_keeps_what_is_in_it() {
        let alignments = (0..=12).map(|power| 1_usize << power);
        for (size, align) in alignments.flat_map(|align| sizes().map(move |size| (size, align))) {
            let layout = Layout::from_size_align(size, align).unwrap();
            let aligned = |place: *mut u8| {
                assert!(
                    !place.is_null() && place.addr().is_multiple_of(align),
                    "{size} bytes at {align}"
                );
                place
            };
            // Several of each, because the first of a page is aligned to more than the others.
            for _ in 0..4 {
                // SAFETY: no size is zero, and each place is used within its size and freed once.
                unsafe {
                    let zeroed = aligned(Mimalloc.alloc_zeroed(layout));
                    assert!(std::slice::from_raw_parts(zeroed, size).iter().all(|byte| *byte == 0));
                    let place = aligned(Mimalloc.alloc(layout));
                    std::ptr::write_bytes(place, 7, size);
                    for grown in [size * 2 + 1, 1 + size / 3] {
                        let other = aligned(Mimalloc.alloc(layout));
                        std::ptr::write_bytes(other, 7, size);
                        let moved = aligned(Mimalloc.realloc(other, layout, grown));
                        let kept = std::slice::from_raw_parts(moved, size.min(grown));
                        assert!(kept.iter().all(|byte| *byte == 7), "{size} bytes to {grown}");
                        let grown = Layout::from_size_align(grown, align).unwrap();
                        Mimalloc.dealloc(moved, grown);
                    }
                    Mimalloc.dealloc(place, layout);
                    Mimalloc.dealloc(zeroed, layout);
                }
            }
        }
    }

    #[expect(unsafe_code, reason = "the allocator is called by hand")]
    #[test]
    fn a_kibibyte_and_more_takes_no_more_room_than_it_needs() {
        unsafe extern "C" {
            fn mi_usable_size(place: *const core::ffi::c_void) -> usize;
        }
        let layout = Layout::from_size_align(4096, 8).unwrap();
        // SAFETY: the place is the library's, and is freed once.
        unsafe {
            let place = Mimalloc.alloc(layout);
            assert_eq!(mi_usable_size(place.cast_const().cast()), 4096);
            Mimalloc.dealloc(place, layout);
        }
    }
}
