//! Figure 2 (left) of the paper: true reward against KL from the reference, one point for every evaluated checkpoint.

use super::axis::{Axis, extent, padded};
use super::canvas::{Align, Drawing, Rect, Text};
use super::legend::{Entry, Labels, legend};
use super::multiples::rounded;
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
    let curves = best_of_n(data.best_of_n);
    let bound = curves.iter().flatten().map(|row| row.kl_bound).fold(0.0, f64::max);
    let limit = limit(&tracks).map_or(bound, |limit| limit.max(bound));
    let rows = || tracks.iter().flat_map(|track| &track.rows);
    let rewards = rewards(&tracks, &curves, limit)?;
    let least = rows().map(|row| row.kl_mean).fold(0.0, f64::min);

    let title = format!("{}: reward against KL", data.study);
    let mut drawing = Drawing::new(WIDTH, HEIGHT, &title);
    let x = Axis::linear("KL(π ‖ π_ref), nats per sequence", (least - 0.015 * limit, limit * 1.04), 7);
    let y = Axis::linear(data.reward_label, padded(rewards, 0.05), 6);
    let panel = Panel::new(Rect { left: 10.0, top: 10.0, right: WIDTH - LEGEND, bottom: HEIGHT - 6.0 }, x, y, true);
    panel.frame(&mut drawing, &title);
    let mut labels = Labels::new(panel.plot.grown(-2.0));

    reference(&mut drawing, &panel, &tracks, &mut labels);
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
    key(&mut drawing, &panel, &tracks, !curves.is_empty());
    Some(drawing)
}

/// The greatest KL that is shown. Where a run went more than four times as far as 80% of the points, it would push all others
/// against the axis, so the range ends at the last point before that.
fn limit(tracks: &[Track<'_>]) -> Option<f64> {
    let rows = || tracks.iter().flat_map(|track| &track.rows);
    // Step 0 is at no distance and says nothing about how far runs go.
    let mut kls: Vec<f64> = rows().filter(|row| row.step > 0).map(|row| row.kl_mean).collect();
    if kls.is_empty() {
        kls = rows().map(|row| row.kl_mean).collect();
    }
    kls.sort_by(f64::total_cmp);
    let greatest = *kls.last()?;
    let far = 4.0 * kls[(kls.len() - 1) * 4 / 5];
    if far > 0.0 && greatest > far { kls.into_iter().rfind(|kl| *kl <= far) } else { Some(greatest) }
}

/// The range of rewards: of what is shown, and of what lies beyond the greatest KL where that does not flatten the rest.
fn rewards(tracks: &[Track<'_>], curves: &[Vec<&BestOfNRow>], limit: f64) -> Option<(f64, f64)> {
    let of = |row: &FrontierRow| [row.reward_mean - half(row.reward_se), row.reward_mean + half(row.reward_se)];
    let rows = || tracks.iter().flat_map(|track| &track.rows);
    let best = || curves.iter().flatten().map(|row| row.reward_mean);
    let shown = extent(rows().filter(|row| row.kl_mean <= limit).flat_map(|row| of(row)).chain(best()));
    let all = extent(rows().flat_map(|row| of(row)).chain(best()))?;
    Some(shown.filter(|shown| all.1 - all.0 > 1.8 * (shown.1 - shown.0)).unwrap_or(all))
}

/// Best-of-N of every run at temperature 1 (or at all, where there is none at 1), by N.
fn best_of_n(rows: &[BestOfNRow]) -> Vec<Vec<&BestOfNRow>> {
    let plain = rows.iter().any(|row| is_one(row.temperature));
    let mut curves: Vec<Vec<&BestOfNRow>> = Vec::new();
    let sound = |row: &&BestOfNRow| row.kl_bound.is_finite() && row.reward_mean.is_finite();
    for row in rows.iter().filter(sound).filter(|row| !plain || is_one(row.temperature)) {
        let same = |other: &BestOfNRow| (&other.run, other.temperature.to_bits()) == (&row.run, row.temperature.to_bits());
        match curves.iter_mut().find(|curve| same(curve[0])) {
            // A row for every judge repeats the rewards.
            Some(curve) if curve.iter().any(|known| known.n == row.n) => {}
            Some(curve) => curve.push(row),
            None => curves.push(vec![row]),
        }
    }
    curves.iter_mut().for_each(|curve| curve.sort_by_key(|row| row.n));
    curves
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
    // Many labels tell nothing; then only the methods whose sweep is the point of the figure have theirs.
    let few = kinds.len() <= 14;
    for track in tracks.iter().filter(|track| few || matches!(track.method, "dpo" | "unlikelihood")) {
        let text = palette.settings(track.method, track.params);
        let shown = track.rows.iter().rev().find(|row| panel.x.share(row.kl_mean) <= 1.0);
        let (Some(row), false) = (shown, named.contains(&(track.method, track.params))) else { continue };
        // A run that left the picture is named where it leaves.
        let left = track.rows.last().is_some_and(|last| panel.x.share(last.kl_mean) > 1.0);
        let text = if left && !text.is_empty() { format!("{text} →") } else { text };
        named.push((track.method, track.params));
        if !text.is_empty() && text.chars().count() < 32 {
            let color = mix(look(track.method).color, INK, 0.35);
            labels.write(on, &text, panel.at(row.kl_mean, row.reward_mean), 48.0, color);
        }
    }
}

/// The legend on the right, and what bars and lines are.
fn key(on: &mut Drawing, panel: &Panel, tracks: &[Track<'_>], best_of_n: bool) {
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
