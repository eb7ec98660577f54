//! Random numbers whose seed is told: a test that failed once can be made to fail again.

/// Set to a number, every test takes it as its seed.
pub const VARIABLE: &str = "WASM_HOST_TEST_SEED";

/// A small generator (splitmix64). Says its seed when the test that uses it fails.
pub struct Seeded {
    seed: u64,
    state: u64,
}

impl Seeded {
    /// By the environment, else by the clock.
    pub fn new() -> Self {
        Self::or(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.expect("a time after 1970").as_micros() as u64
        })
    }

    /// By the environment, else by what is said.
    pub fn or(otherwise: impl FnOnce() -> u64) -> Self {
        let given = std::env::var(VARIABLE).ok();
        let seed = given.map(|seed| seed.parse().expect("the seed is a number"));
        let seed = seed.unwrap_or_else(otherwise);
        Self { seed, state: seed }
    }

    /// What it began with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.number() % (high - low + 1) as u64) as usize
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.between(0, from.len() - 1)]
    }
}

impl Default for Seeded {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat this with {VARIABLE}={}", self.seed);
        }
    }
}
