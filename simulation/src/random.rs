//! Random numbers of a seed.

use system::clock::mix;

/// A generator: SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct SeededRandom(u64);

impl SeededRandom {
    /// The numbers of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x5851_f42d_4c95_7f2d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `sides`, which is not 0.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides.max(1)
    }

    /// True `times` in `of`.
    pub(crate) fn chance(&mut self, times: u64, of: u64) -> bool {
        self.roll(of) < times
    }

    /// One of `items`, by weight; the first if there is nothing to choose.
    pub(crate) fn choose<T: Copy>(&mut self, items: &[(u64, T)], otherwise: T) -> T {
        let mut left = self.roll(items.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in items {
            if left < *weight {
                return *item;
            }
            left -= weight;
        }
        otherwise
    }

    /// A number that is often small and sometimes nearly `most`.
    pub(crate) fn skewed(&mut self, most: u64) -> u64 {
        let bound = self.roll(most) + 1;
        self.roll(bound)
    }
}
