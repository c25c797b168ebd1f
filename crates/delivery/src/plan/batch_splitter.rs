//! Pieces of one batch that are still to be sent, in order.
//!
//! A refused piece is split in two, first half first. So after any number of refusals the rows are still sent first
//! in, first out. A single row is never split. Holds positions, not rows.
//!
//! Invariant (progress): every call of [`BatchSplitter::split`] makes pieces strictly smaller, and every other answer
//! removes the piece. So at most `2 n` pieces are handed out for `n` rows, plus one for each row that an answer
//! named.

use std::collections::VecDeque;

/// Positions into a batch, grouped into requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSplitter {
    waiting: VecDeque<Vec<usize>>,
}

impl BatchSplitter {
    /// The whole batch as consecutive pieces that each fit: `sizes` are the encoded sizes of the rows,
    /// `events` and `bytes` what one request may hold, `overhead` what the request costs beyond its rows
    /// and `separator` what each further row adds. A row larger than `bytes` is sent alone.
    pub fn plan(sizes: &[usize], events: usize, bytes: usize, overhead: usize, separator: usize) -> Self {
        let mut waiting = VecDeque::new();
        let mut piece = Vec::new();
        let mut used = overhead;
        for (position, size) in sizes.iter().enumerate() {
            let more = size + if piece.is_empty() { 0 } else { separator };
            if !piece.is_empty() && (piece.len() >= events || used.saturating_add(more) > bytes) {
                waiting.push_back(std::mem::take(&mut piece));
                used = overhead + size;
            } else {
                used = used.saturating_add(more);
            }
            piece.push(position);
        }
        if !piece.is_empty() {
            waiting.push_back(piece);
        }
        Self { waiting }
    }

    /// The next piece to send; never empty.
    pub(crate) fn next_piece(&mut self) -> Option<Vec<usize>> {
        self.waiting.pop_front()
    }

    /// Puts the two halves of a refused piece at the front. False for a single row: it cannot be split
    /// and is not put back.
    pub fn split(&mut self, piece: &[usize]) -> bool {
        if piece.len() < 2 {
            return false;
        }
        let (first, second) = piece.split_at(piece.len() / 2);
        self.waiting.push_front(second.to_vec());
        self.waiting.push_front(first.to_vec());
        true
    }

    /// Puts rows back at the front that an answer left undecided because of others.
    pub fn resend(&mut self, positions: Vec<usize>) {
        if !positions.is_empty() {
            self.waiting.push_front(positions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_row_is_found_in_order() {
        let mut pieces = BatchSplitter::plan(&[1; 8], 8, 1000, 0, 0);
        let mut sent = Vec::new();
        let mut parked = Vec::new();
        while let Some(piece) = pieces.next_piece() {
            sent.push(piece.clone());
            if piece.contains(&5) && !pieces.split(&piece) {
                parked.extend(piece);
            }
        }
        let expected: Vec<Vec<usize>> = vec![
            (0..8).collect(),
            (0..4).collect(),
            (4..8).collect(),
            vec![4, 5],
            vec![4],
            vec![5],
            vec![6, 7],
        ];
        assert_eq!((sent, parked), (expected, vec![5]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn planning_keeps_every_row_in_order_and_within_bounds(
            sizes in prop::collection::vec(1usize..400, 0..60), events in 1usize..20, bytes in 1usize..1000,
        ) {
            let (overhead, separator) = (14, 2);
            let mut pieces = BatchSplitter::plan(&sizes, events, bytes, overhead, separator);
            let mut all = Vec::new();
            while let Some(piece) = pieces.next_piece() {
                prop_assert!(!piece.is_empty() && piece.len() <= events);
                let used: usize = overhead + piece.iter().map(|row| sizes[*row]).sum::<usize>() + separator * (piece.len() - 1);
                prop_assert!(piece.len() == 1 || used <= bytes);
                all.extend(piece);
            }
            prop_assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>());
        }

        /// Bisecting ends, decides every row once, in order, and singles out exactly the bad ones.
        #[test]
        fn bisecting_ends_and_singles_out_exactly_the_bad_rows(bad in prop::collection::vec(any::<bool>(), 0..200)) {
            let mut pieces = BatchSplitter::plan(&vec![1; bad.len()], 200, usize::MAX, 0, 0);
            let (mut decided, mut parked, mut requests) = (Vec::new(), Vec::new(), 0);
            while let Some(piece) = pieces.next_piece() {
                requests += 1;
                if piece.iter().any(|row| bad[*row]) {
                    if !pieces.split(&piece) { parked.extend(piece.iter().copied()); decided.extend(piece); }
                } else {
                    decided.extend(piece);
                }
            }
            prop_assert_eq!(decided, (0..bad.len()).collect::<Vec<_>>());
            prop_assert_eq!(parked, (0..bad.len()).filter(|row| bad[*row]).collect::<Vec<_>>());
            prop_assert!(requests <= 2 * bad.len());
        }
    }
}
