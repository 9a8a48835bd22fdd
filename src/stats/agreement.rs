//! How far a judge and people agree, and people among each other: the layout of table 2 of Rafailov et al. 2023.

use super::{Outcome, Proportion, clustered_proportion};
use std::collections::{BTreeMap, BTreeSet};

/// One person's verdict on one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rating {
    /// The pair of completions.
    pub item: usize,
    /// Who said so.
    pub rater: usize,
    /// What was said of the policy's completion.
    pub outcome: Outcome,
}

/// Agreement of two sides on items that both decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Share of compared verdicts that agree, with a 95% interval clustered by item.
    pub share: Proportion,
    /// Cohen's kappa; none where both sides always say the same one thing.
    pub kappa: Option<Kappa>,
}

/// Agreement beyond chance: 1 is perfect, 0 is what the two sides' habits give by chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kappa {
    /// (observed - by chance) / (1 - by chance).
    pub value: f64,
    /// Lower end of the 95% interval: that of the share, with the agreement by chance held at its estimate.
    pub ci_low: f64,
    /// Upper end of the interval.
    pub ci_high: f64,
}

/// One comparison of table 2: a policy against its opponent, by one judge and by people. Ties are dropped everywhere, as in the paper;
/// a pair on which the judge's two orders disagree is a tie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgreementRow {
    /// Verdicts of people that are not ties. The paper's "N respondents" counts these too: 25 raters cannot be 272 people.
    pub respondents: usize,
    /// People who gave them.
    pub raters: usize,
    /// Verdicts of people that were ties, and are dropped.
    pub ties_dropped: usize,
    /// Share of rated items that the judge calls a win; none if it decided none.
    pub judge_wins: Option<Proportion>,
    /// Share of people's verdicts that are wins.
    pub human_wins: Proportion,
    /// The judge against each person's verdict; none where they decided no item in common.
    pub judge_human: Option<Agreement>,
    /// Every two people who decided the same item; none without double annotation.
    pub human_human: Option<Agreement>,
}

/// Compares a judge's verdicts, by item, with people's. Several verdicts on an item count each, and intervals know that they are
/// not independent; that one person gives many is not in the intervals. Nothing if people decided nothing.
pub fn agreement_row(judge: &BTreeMap<usize, Outcome>, ratings: &[Rating]) -> Option<AgreementRow> {
    let decided: Vec<&Rating> = ratings.iter().filter(|rating| rating.outcome != Outcome::Tie).collect();
    let human_wins = share_of_wins(decided.iter().map(|rating| (rating.item, rating.outcome)))?;

    let with_judge: Vec<(usize, Outcome, Outcome)> =
        decided.iter().filter_map(|rating| Some((rating.item, *judge.get(&rating.item)?, rating.outcome))).collect();
    let mut by_item: BTreeMap<usize, Vec<Outcome>> = BTreeMap::new();
    for rating in &decided {
        by_item.entry(rating.item).or_default().push(rating.outcome);
    }
    let among_people: Vec<(usize, Outcome, Outcome)> = by_item.iter().flat_map(|(item, said)| every_two(*item, said)).collect();
    Some(AgreementRow {
        respondents: decided.len(),
        raters: decided.iter().map(|rating| rating.rater).collect::<BTreeSet<usize>>().len(),
        ties_dropped: ratings.len() - decided.len(),
        judge_wins: share_of_wins(by_item.keys().filter_map(|item| Some((*item, *judge.get(item)?)))),
        human_wins,
        judge_human: agreement(&with_judge, Sides::Distinct),
        human_human: agreement(&among_people, Sides::Interchangeable),
    })
}

/// Whether it matters which of two compared verdicts comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Each side is someone, with habits of its own: agreement by chance is Cohen's (1960).
    Distinct,
    /// Any rater may stand on either side: agreement by chance is Scott's (1955), from the habits of all together.
    Interchangeable,
}

/// Agreement of (item, one side's verdict, the other's). What either side calls a tie is dropped; nothing if nothing is left.
pub fn agreement(verdicts: &[(usize, Outcome, Outcome)], sides: Sides) -> Option<Agreement> {
    let is_decided = |verdict: &&(usize, Outcome, Outcome)| verdict.1 != Outcome::Tie && verdict.2 != Outcome::Tie;
    let decided: Vec<&(usize, Outcome, Outcome)> = verdicts.iter().filter(is_decided).collect();
    let agreeing: Vec<(usize, f64)> = decided.iter().map(|(item, a, b)| (*item, f64::from(u8::from(a == b)))).collect();
    let share = clustered_proportion(&agreeing)?;

    let wins = |outcome: fn(&(usize, Outcome, Outcome)) -> Outcome| {
        decided.iter().filter(|verdict| outcome(verdict) == Outcome::Win).count() as f64 / decided.len() as f64
    };
    let (first, second) = (wins(|verdict| verdict.1), wins(|verdict| verdict.2));
    let (first, second) = match sides {
        Sides::Distinct => (first, second),
        Sides::Interchangeable => ((first + second) / 2.0, (first + second) / 2.0),
    };
    let by_chance = first * second + (1.0 - first) * (1.0 - second);
    let beyond_chance = |share: f64| (share - by_chance) / (1.0 - by_chance);
    let kappa =
        Kappa { value: beyond_chance(share.share), ci_low: beyond_chance(share.ci_low), ci_high: beyond_chance(share.ci_high) };
    Some(Agreement { share, kappa: (by_chance < 1.0).then_some(kappa) })
}

/// Every two of the verdicts on an item.
fn every_two(item: usize, said: &[Outcome]) -> Vec<(usize, Outcome, Outcome)> {
    let later = |(index, first): (usize, &Outcome)| {
        let first = *first;
        said[index + 1..].iter().map(move |second| (item, first, *second)).collect::<Vec<_>>()
    };
    said.iter().enumerate().flat_map(later).collect()
}

/// The share of wins among (item, verdict) that are not ties.
fn share_of_wins(verdicts: impl Iterator<Item = (usize, Outcome)>) -> Option<Proportion> {
    let decided = verdicts.filter(|(_, outcome)| *outcome != Outcome::Tie);
    let wins: Vec<(usize, f64)> = decided.map(|(item, outcome)| (item, f64::from(u8::from(outcome == Outcome::Win)))).collect();
    clustered_proportion(&wins)
}

#[cfg(test)]
mod tests {
    use super::super::Outcome::{Loss, Tie, Win};
    use super::super::simulated_judge::share_of_simulations;
    use super::*;
    use crate::random::Stream;

    /// The textbook's table: both say win 20 times, only the first 5, only the second 10, neither 15.
    fn textbook() -> Vec<(usize, Outcome, Outcome)> {
        let counts = [(20, Win, Win), (5, Win, Loss), (10, Loss, Win), (15, Loss, Loss)];
        let said = counts.iter().flat_map(|(count, a, b)| vec![(*a, *b); *count]);
        said.enumerate().map(|(item, (a, b))| (item, a, b)).collect()
    }

    #[test]
    fn agreement_and_kappa_are_the_textbooks() {
        let agreed = agreement(&textbook(), Sides::Distinct).expect("an agreement");
        assert!((agreed.share.share - 0.7).abs() < 1e-12);
        // Wilson's interval for 35 of 50.
        assert!((agreed.share.ci_low - 0.5625).abs() < 5e-5 && (agreed.share.ci_high - 0.8090).abs() < 5e-5, "{agreed:?}");
        // By chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
        let kappa = agreed.kappa.expect("a kappa");
        assert!((kappa.value - 0.4).abs() < 1e-12 && (kappa.ci_low - 0.1249).abs() < 1e-4, "{kappa:?}");
        // By chance 0.55^2 + 0.45^2 = 0.505.
        let kappa = agreement(&textbook(), Sides::Interchangeable).and_then(|agreed| agreed.kappa).expect("a kappa");
        assert!((kappa.value - 0.195 / 0.495).abs() < 1e-12, "{kappa:?}");
    }

    #[test]
    fn interchangeable_sides_can_be_exchanged() {
        let exchanged: Vec<(usize, Outcome, Outcome)> =
            textbook().into_iter().map(|(item, a, b)| if item % 2 == 0 { (item, b, a) } else { (item, a, b) }).collect();
        let kappa =
            |verdicts: &[_]| agreement(verdicts, Sides::Interchangeable).and_then(|agreed| agreed.kappa).expect("a kappa");
        assert!((kappa(&textbook()).value - kappa(&exchanged).value).abs() < 1e-12);
    }

    #[test]
    fn ties_are_dropped_and_sides_without_variety_have_no_kappa() {
        let agreed = agreement(&[(0, Win, Win), (1, Tie, Win), (2, Loss, Tie), (3, Win, Win)], Sides::Distinct);
        let agreed = agreed.expect("an agreement");
        assert_eq!((agreed.share.n, agreed.share.share, agreed.kappa), (2, 1.0, None));
        assert_eq!(agreement(&[(0, Tie, Win)], Sides::Distinct), None);
    }

    #[test]
    fn a_row_of_table_2_is_the_one_worked_out_by_hand() {
        let judge = BTreeMap::from([(0, Win), (1, Loss), (2, Win), (3, Tie), (5, Win)]);
        let rating = |(item, rater, outcome)| Rating { item, rater, outcome };
        let ratings = [(0, 1, Win), (0, 2, Win), (0, 3, Loss), (1, 1, Win), (1, 2, Tie), (2, 2, Win), (3, 2, Loss), (4, 4, Win)];
        let row = agreement_row(&judge, &ratings.map(rating)).expect("a row");
        assert_eq!((row.respondents, row.raters, row.ties_dropped), (7, 4, 1));
        assert!((row.human_wins.share - 5.0 / 7.0).abs() < 1e-12 && row.human_wins.clusters == 5);
        // Of the rated items the judge decided 0, 1 and 2.
        let judge_wins = row.judge_wins.expect("a share");
        assert!(judge_wins.n == 3 && (judge_wins.share - 2.0 / 3.0).abs() < 1e-12);
        // Item 0 agrees twice of three times, item 1 does not, item 2 does.
        let judge_human = row.judge_human.expect("an agreement");
        assert!(judge_human.share.n == 5 && (judge_human.share.share - 0.6).abs() < 1e-12);
        // Only item 0 has two decided verdicts: of its three pairs of people one agrees.
        let human_human = row.human_human.expect("an agreement");
        assert!(human_human.share.n == 3 && (human_human.share.share - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn without_people_there_is_no_row_and_without_double_annotation_no_agreement_of_people() {
        let once = Rating { item: 0, rater: 0, outcome: Win };
        let row = agreement_row(&BTreeMap::new(), &[once]).expect("a row");
        assert_eq!((row.judge_wins, row.judge_human, row.human_human), (None, None, None));
        assert_eq!(agreement_row(&BTreeMap::from([(0, Win)]), &[Rating { outcome: Tie, ..once }]), None);
    }

    #[test]
    fn intervals_hold_the_agreement_in_95_of_100_studies() {
        let right = |is_won: bool, accuracy: f64, stream: &mut Stream| {
            if (stream.uniform() < accuracy) == is_won { Win } else { Loss }
        };
        let (person, judge_accuracy) = (0.85, 0.9);
        let (judge_human, human_human) = (0.9 * 0.85 + 0.1 * 0.15, 0.85 * 0.85 + 0.15 * 0.15);
        let study = |stream: &mut Stream| {
            let (mut judge, mut ratings) = (BTreeMap::new(), Vec::new());
            for item in 0..150 {
                let is_won = stream.uniform() < 0.6;
                judge.insert(item, right(is_won, judge_accuracy, stream));
                for rater in 0..if item < 75 { 3 } else { 1 } {
                    ratings.push(Rating { item, rater, outcome: right(is_won, person, stream) });
                }
            }
            agreement_row(&judge, &ratings).expect("a row")
        };
        let holds = |agreed: Option<Agreement>, truth: f64| {
            agreed.is_some_and(|agreed| agreed.share.ci_low <= truth && truth <= agreed.share.ci_high)
        };
        // Wins of each side: 0.6 a + 0.4 (1 - a).
        let (judge_wins, human_wins): (f64, f64) = (0.58, 0.57);
        let kappa_of = |share: f64, first: f64, second: f64| {
            let by_chance = first * second + (1.0 - first) * (1.0 - second);
            (share - by_chance) / (1.0 - by_chance)
        };
        let kappa_holds = |agreed: Option<Agreement>, truth: f64| {
            agreed.and_then(|agreed| agreed.kappa).is_some_and(|kappa| kappa.ci_low <= truth && truth <= kappa.ci_high)
        };
        let coverages = [
            share_of_simulations(|stream| holds(study(stream).judge_human, judge_human)),
            share_of_simulations(|stream| holds(study(stream).human_human, human_human)),
            share_of_simulations(|stream| kappa_holds(study(stream).judge_human, kappa_of(judge_human, judge_wins, human_wins))),
            share_of_simulations(|stream| kappa_holds(study(stream).human_human, kappa_of(human_human, human_wins, human_wins))),
        ];
        assert!(coverages.iter().all(|coverage| (0.93..=0.97).contains(coverage)), "{coverages:?}");
    }
}
