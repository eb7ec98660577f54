//! Chance, behind a trait so that tests can decide it.

use std::hash::{BuildHasher, RandomState};

/// A source of numbers.
pub trait Random {
    /// A number below `bound`, each equally likely. `bound` is not 0.
    fn below(&mut self, bound: u64) -> u64;
}

/// SplitMix64, from a seed that the host gives. Good enough for weather, not for secrets.
pub struct Seeded(u64);

impl Seeded {
    /// Each one differs: the standard library takes its hash keys from the host's randomness.
    pub fn new() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Default for Seeded {
    fn default() -> Self {
        Self::new()
    }
}

impl Random for Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        // The last, incomplete run of remainders would favour small numbers.
        let whole = u64::MAX - u64::MAX % bound;
        loop {
            let number = self.next();
            if number < whole {
                return number % bound;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_bound_is_about_as_likely() {
        let mut random = Seeded(7);
        let mut counts = [0_u32; 75];
        for _ in 0..75_000 {
            counts[random.below(75) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn two_sources_differ() {
        assert_ne!(Seeded::new().next(), Seeded::new().next());
    }
}
