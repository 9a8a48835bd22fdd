//! At most so many stages at once: groups go in waves, each of which waits until those before it have ended. Pure.
//!
//! What it costs: a wave lasts as long as its longest stage, and jobs that could already run wait for it. It holds, though,
//! without anybody watching, and on any cluster.

/// When a group may start, and how many of its tasks may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Number of the wave, from 0.
    pub wave: usize,
    /// Tasks at once, at least 1.
    pub at_once: usize,
}

/// Gives groups of these sizes their waves, in order, so that no wave has more than `jobs` tasks at once.
pub fn waves(sizes: impl IntoIterator<Item = usize>, jobs: usize) -> Vec<Slot> {
    let mut wave = 0;
    let mut free = jobs;
    let slot = |size: usize| {
        let at_once = size.clamp(1, jobs.max(1));
        if at_once > free {
            wave += 1;
            free = jobs;
        }
        free = free.saturating_sub(at_once);
        Slot { wave, at_once }
    };
    sizes.into_iter().map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_job_at_once_is_a_wave_a_group() {
        let slots = waves([3, 1, 2], 1);
        assert_eq!(slots.iter().map(|slot| (slot.wave, slot.at_once)).collect::<Vec<_>>(), [(0, 1), (1, 1), (2, 1)]);
    }

    #[test]
    fn small_groups_share_a_wave() {
        let slots = waves([1, 2, 4, 9, 1], 4);
        assert_eq!(
            slots.iter().map(|slot| (slot.wave, slot.at_once)).collect::<Vec<_>>(),
            [(0, 1), (0, 2), (1, 4), (2, 4), (3, 1)]
        );
    }

    proptest! {
        #[test]
        fn no_wave_has_more_than_is_asked(sizes in proptest::collection::vec(1usize..40, 0..30), jobs in 1usize..20) {
            let slots = waves(sizes.iter().copied(), jobs);
            prop_assert_eq!(slots.len(), sizes.len());
            for (slot, size) in slots.iter().zip(&sizes) {
                let in_wave: usize = slots.iter().filter(|other| other.wave == slot.wave).map(|other| other.at_once).sum();
                prop_assert!(in_wave <= jobs);
                prop_assert!(slot.at_once >= 1 && slot.at_once <= *size);
            }
            prop_assert!(slots.is_sorted_by_key(|slot| slot.wave));
        }
    }
}
