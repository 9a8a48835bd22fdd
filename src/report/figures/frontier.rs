//! Figure 2 (left) of the paper: true reward against KL from the reference, one point for every evaluated checkpoint.

use super::axis::{Axis, extent, padded, reach};
use super::best_of_n::curves;
use super::canvas::{Align, Drawing, Rect, Text};
use super::legend::{Entry, Labels, legend};
use super::multiples::rounded;
use super::optimum::{COLOR, Optimum, optima};
use super::panel::Panel;
use super::tracks::{Palette, Track, is_one, tracks};
use super::{Figures, half};
use crate::report::rows::{BestOfNRow, FrontierRow};
use crate::report::theme::{FAINT, INK, Marker, NOTE, PAPER, label, look, mix, text_width};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 480.0;
const LEGEND: f64 = 196.0;
const RADIUS: f64 = 3.9;
const DASH: (f64, f64) = (5.0, 3.5);

/// Draws the figure.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let mut tracks = tracks(data.frontier);
    for track in &mut tracks {
        track.rows.retain(|row| row.kl_mean.is_finite() && row.reward_mean.is_finite());
    }
    tracks.retain(|track| !track.rows.is_empty());
    let curves = curves(data.best_of_n);
    let optima = optima(data.optimum);
    let bound = curves.iter().flatten().map(|row| row.kl_bound).fold(0.0, f64::max);
    let limit = limit(&tracks).map_or(bound, |limit| limit.max(bound));
    let rows = || tracks.iter().flat_map(|track| &track.rows);
    let rewards = rewards(&tracks, &curves, &optima, limit)?;
    let least = rows().map(|row| row.kl_mean).fold(0.0, f64::min);

    let title = format!("{}: reward against KL", data.study);
    let mut drawing = Drawing::new(WIDTH, HEIGHT, &title);
    let x = Axis::linear("KL(π ‖ π_ref), nats per sequence", (least - 0.015 * limit, limit * 1.04), 7);
    let y = Axis::linear(data.reward_label, padded(rewards, 0.05), 8);
    let panel = Panel::new(Rect { left: 10.0, top: 10.0, right: WIDTH - LEGEND, bottom: HEIGHT - 6.0 }, x, y, true);
    panel.frame(&mut drawing, &title);
    let mut labels = Labels::new(panel.plot.grown(-2.0));

    for optimum in &optima {
        let band = optimum.band();
        panel.band(&mut drawing, &band, COLOR);
        for edge in [|end: &(f64, f64, f64)| (end.0, end.1), |end: &(f64, f64, f64)| (end.0, end.2)] {
            panel.clipped(band.iter().map(edge)).iter().for_each(|part| labels.avoid_line(part));
        }
    }
    reference(&mut drawing, &panel, &tracks, &mut labels);
    for optimum in &optima {
        let line = || optimum.points.iter().map(|(kl, reward, _)| (*kl, *reward));
        panel.dashed(&mut drawing, line(), COLOR, 1.2, optimum.dash());
        panel.clipped(line()).iter().for_each(|part| labels.avoid_line(part));
    }
    let bon = look("best_of_n").color;
    for curve in &curves {
        let line = || curve.iter().map(|row| (row.kl_bound, row.reward_mean));
        panel.dashed(&mut drawing, line(), bon, 1.3, DASH);
        panel.clipped(line()).iter().for_each(|part| labels.avoid_line(part));
    }
    for track in &tracks {
        let line = || track.rows.iter().map(|row| (row.kl_mean, row.reward_mean));
        panel.line(&mut drawing, line(), mix(look(track.method).color, PAPER, 0.55), 1.0);
        panel.clipped(line()).iter().for_each(|part| labels.avoid_line(part));
    }
    for row in curves.iter().flatten() {
        let marker = look("best_of_n").marker;
        panel.point(&mut drawing, (row.kl_bound, row.reward_mean), (0.0, half(row.reward_se)), marker, RADIUS, bon);
        labels.avoid(panel.at(row.kl_bound, row.reward_mean), RADIUS + 1.0);
        let bars = panel.bars((row.kl_bound, row.reward_mean), (0.0, half(row.reward_se)), RADIUS);
        bars.iter().for_each(|bar| labels.avoid_line(&[bar.0, bar.1]));
    }
    let mut beyond: Vec<f64> = Vec::new();
    for (track, row) in tracks.iter().flat_map(|track| track.rows.iter().map(move |row| (track, row))) {
        let look = look(track.method);
        let at = panel.at(row.kl_mean, row.reward_mean);
        if panel.x.share(row.kl_mean) > 1.0 {
            let (edge, y) = (panel.plot.right, at.1.clamp(panel.plot.top + 5.0, panel.plot.bottom - 5.0));
            drawing.area(vec![(edge - 1.0, y - 4.0), (edge + 7.0, y), (edge - 1.0, y + 4.0)], look.color, 1.0);
            labels.avoid((edge, y), 6.0);
            beyond.push(row.kl_mean);
        } else if !is_start(track, row) {
            let error = (half(row.kl_se), half(row.reward_se));
            panel.bars((row.kl_mean, row.reward_mean), error, RADIUS).iter().for_each(|bar| labels.avoid_line(&[bar.0, bar.1]));
            panel.point(&mut drawing, (row.kl_mean, row.reward_mean), error, look.marker, RADIUS, look.color);
            labels.avoid(at, RADIUS + 1.0);
        }
    }
    if let Some((_, greatest)) = extent(beyond.iter().copied()) {
        let points = if beyond.len() == 1 { "1 point".to_owned() } else { format!("{} points", beyond.len()) };
        let note = format!("▸ {points} beyond KL {}, up to {}", rounded(panel.x.range().1), rounded(greatest));
        panel.note(&mut drawing, &note);
    }
    name_ends(&mut drawing, &panel, &tracks, &mut labels);
    for row in curves.iter().flatten().filter(|_| curves.len() == 1) {
        labels.write(&mut drawing, &format!("N={}", row.n), panel.at(row.kl_bound, row.reward_mean), 12.0, bon);
    }
    key(&mut drawing, &panel, &tracks, !curves.is_empty(), &optima);
    Some(drawing)
}

/// The greatest KL that is shown, see [`reach`].
fn limit(tracks: &[Track<'_>]) -> Option<f64> {
    let kls = |trained: bool| {
        let rows = tracks.iter().flat_map(|track| &track.rows);
        reach(rows.filter(|row| !trained || row.step > 0).map(|row| row.kl_mean))
    };
    // Step 0 is at no distance and says nothing about how far runs go.
    kls(true).or_else(|| kls(false))
}

/// The range of rewards: of what is shown, and of what lies beyond the greatest KL where that does not flatten the rest.
fn rewards(tracks: &[Track<'_>], curves: &[Vec<&BestOfNRow>], optima: &[Optimum], limit: f64) -> Option<(f64, f64)> {
    let of = |row: &FrontierRow| [row.reward_mean - half(row.reward_se), row.reward_mean + half(row.reward_se)];
    let rows = || tracks.iter().flat_map(|track| &track.rows);
    let best =
        || curves.iter().flatten().flat_map(|row| [row.reward_mean - half(row.reward_se), row.reward_mean + half(row.reward_se)]);
    let optimal = optima.iter().flat_map(|optimum| &optimum.points).filter(|point| point.0 <= limit);
    let others = best().chain(optimal.map(|point| point.1)).collect::<Vec<_>>();
    let shown = extent(rows().filter(|row| row.kl_mean <= limit).flat_map(|row| of(row)).chain(others.iter().copied()));
    let all = extent(rows().flat_map(|row| of(row)).chain(others.iter().copied()))?;
    Some(shown.filter(|shown| all.1 - all.0 > 1.8 * (shown.1 - shown.0)).unwrap_or(all))
}

/// Whether a checkpoint is the reference that a run starts from, rather than a policy of its own.
fn is_start(track: &Track<'_>, row: &FrontierRow) -> bool {
    row.step == 0 && row.kl_mean.abs() < 0.01 && track.rows.iter().any(|other| other.step > 0)
}

/// A dotted line at the reward of the reference: the mean of all runs at step 0.
fn reference(on: &mut Drawing, panel: &Panel, tracks: &[Track<'_>], labels: &mut Labels) {
    let rows = tracks.iter().flat_map(|track| track.rows.iter().map(move |row| (track, row)));
    let starts: Vec<f64> = rows.filter(|(track, row)| is_start(track, row)).map(|(_, row)| row.reward_mean).collect();
    if starts.is_empty() {
        return;
    }
    let reward = starts.iter().map(|start| start / starts.len() as f64).sum::<f64>();
    let (low, high) = panel.x.range();
    panel.dashed(on, [(low, reward), (high, reward)], FAINT, 1.0, (0.6, 3.4));
    // All runs start here, so their markers would only hide each other.
    on.marker(panel.at(0.0, reward), Marker::Circle, 3.2, FAINT);
    labels.avoid(panel.at(0.0, reward), 4.0);
    let name = "reference (step 0)";
    let (right, y) = (panel.plot.right - 12.0, panel.at(0.0, reward).1 - 5.0);
    on.text(name, (right, y), NOTE, FAINT, Align::End);
    labels.avoid_rect(Rect { left: right - text_width(name, NOTE, false), top: y - NOTE, right, bottom: y + 2.0 });
}

/// Writes the swept settings of each kind of run beside the last point of one of its seeds, where there is room.
fn name_ends(on: &mut Drawing, panel: &Panel, tracks: &[Track<'_>], labels: &mut Labels) {
    let palette = Palette::new(tracks.iter().map(|track| (track.method, track.params)));
    let mut named: Vec<(&str, &str)> = Vec::new();
    let mut kinds: Vec<(&str, &str)> = tracks.iter().map(|track| (track.method, track.params)).collect();
    kinds.dedup();
    // Among many labels, those of the methods whose sweep is the point of the figure come first, and others only stand close by.
    let few = kinds.len() <= 14;
    let combinations = |method: &str| kinds.iter().filter(|kind| kind.0 == method).count();
    let central = |track: &Track<'_>| few || (matches!(track.method, "dpo" | "unlikelihood") && combinations(track.method) <= 8);
    let (first, rest): (Vec<_>, Vec<_>) = tracks.iter().partition(|track| central(track));
    for track in first.into_iter().chain(rest) {
        let text = palette.settings(track.method, track.params);
        let shown = track.rows.iter().rev().find(|row| panel.x.share(row.kl_mean) <= 1.0);
        let (Some(row), false) = (shown, named.contains(&(track.method, track.params))) else { continue };
        // A run that left the picture is named where it leaves.
        let left = track.rows.last().is_some_and(|last| panel.x.share(last.kl_mean) > 1.0);
        let text = if left && !text.is_empty() { format!("{text} →") } else { text };
        named.push((track.method, track.params));
        if !text.is_empty() && text.chars().count() < 32 {
            let (color, reach) = (mix(look(track.method).color, INK, 0.35), if central(track) { 48.0 } else { 12.0 });
            let line = panel.clipped(track.rows.iter().map(|row| (row.kl_mean, row.reward_mean)));
            let exit = line.last().and_then(|part| part.last()).filter(|_| left);
            labels.write(on, &text, exit.copied().unwrap_or(panel.at(row.kl_mean, row.reward_mean)), reach, color);
        }
    }
}

/// The legend on the right, and what bars and lines are.
fn key(on: &mut Drawing, panel: &Panel, tracks: &[Track<'_>], best_of_n: bool, optima: &[Optimum]) {
    let mut methods: Vec<&str> = tracks.iter().map(|track| track.method).collect();
    methods.dedup();
    let mut entries: Vec<Entry> = methods
        .into_iter()
        .map(|method| Entry { label: label(method), color: look(method).color, marker: Some(look(method).marker), dash: None })
        .collect();
    if best_of_n {
        let look = look("best_of_n");
        let name = "Best-of-N (KL bound)".to_owned();
        entries.push(Entry { label: name, color: look.color, marker: Some(look.marker), dash: Some(DASH) });
    }
    entries.extend(optima.iter().map(Optimum::entry));
    let plot = panel.plot;
    let (left, right) = (plot.right + 24.0, WIDTH - 4.0);
    legend(on, Rect { left, top: plot.top, right, bottom: plot.bottom - 50.0 }, &entries);
    let plain = tracks.iter().all(|track| track.rows.iter().all(|row| is_one(row.temperature)));
    let sampled = if plain { "samples at temperature 1" } else { "samples at several temperatures" };
    for (at, note) in ["bars: 95% intervals", "lines: checkpoints of one run", sampled].into_iter().enumerate() {
        on.push_text(Text {
            text: note.to_owned(),
            at: (left, plot.bottom - 28.0 + 14.0 * at as f64),
            size: NOTE,
            color: FAINT,
            align: Align::Start,
            bold: false,
            upwards: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, row};
    use super::*;

    #[test]
    fn ppo_off_the_shelf_is_an_entry_of_its_own() {
        let params = ["kl_target=3", "kl_target=6", "kl_target=3;preset=off-the-shelf", "kl_target=6;preset=off-the-shelf"];
        let frontier = params.iter().map(|params| row("ppo_gt", params, 100, 3.0, 0.7)).collect();
        let shown = Made { frontier, ..Made::default() }.svg(draw);
        for text in ["PPO-GT", "PPO-GT (off-the-shelf)", "target KL=3"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert!(!shown.contains("preset"), "the name of the method already says it");
    }
}
