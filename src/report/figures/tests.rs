//! Figures from made-up data, sound and not.

use super::*;

fn row(method: &str, params: &str, step: u64, kl: f64, reward: f64) -> FrontierRow {
    FrontierRow {
        run: format!("{method}-{params}"),
        method: method.to_owned(),
        params: params.to_owned(),
        seed: 0,
        step,
        temperature: 1.0,
        prompts: 256,
        reward_mean: reward,
        reward_se: 0.01,
        proxy_reward_mean: Some(reward * 2.0),
        kl_mean: kl,
        kl_se: 0.02 * kl,
        kl_sampled_mean: kl,
        kl_sampled_se: 0.02 * kl,
        completion_tokens_mean: 40.0,
        truncated_share: 0.1,
        entropy_mean: 2.0,
        distinct_2: 0.6,
    }
}

fn best(n: usize, reward: f64) -> BestOfNRow {
    BestOfNRow {
        run: format!("best_of_n-n{n}-seed0"),
        task: "sentiment".to_owned(),
        n,
        seed: 0,
        temperature: 1.0,
        prompts: 256,
        reward_mean: reward,
        reward_se: 0.01,
        proxy_reward_mean: Some(reward),
        kl_bound: (n as f64).ln() - (n as f64 - 1.0) / n as f64,
        judge: None,
        baseline: None,
        win_rate: None,
        ci_low: None,
        ci_high: None,
    }
}

fn frontier_rows() -> Vec<FrontierRow> {
    let mut rows = Vec::new();
    for (beta, reach) in [("0.05", 4.0), ("0.1", 2.5), ("1", 0.8)] {
        for step in 0..4 {
            let kl = reach * step as f64 / 3.0;
            rows.push(row("dpo", &format!("beta={beta}"), step * 100, kl, 0.5 + 0.12 * kl));
        }
    }
    rows.extend(
        [(0, 0.0, 0.5), (100, 3.0, 0.4), (200, 300.0, 0.1)]
            .map(|(step, kl, reward)| row("unlikelihood", "alpha=1", step, kl, reward)),
    );
    rows
}

fn training_rows() -> Vec<(RunLabel, Vec<TrainRow>)> {
    let run = RunLabel { run: "dpo-0".into(), method: "dpo".into(), params: "beta=0.1".into(), seed: 0 };
    let rows = (1..=50).map(|step| TrainRow {
        step,
        loss: 0.69 - step as f64 * 0.005,
        rewards_accuracies: Some(0.5 + step as f64 * 0.005),
        ..TrainRow::default()
    });
    vec![(run, rows.collect())]
}

fn data<'a>(frontier: &'a [FrontierRow], best: &'a [BestOfNRow], training: &'a [(RunLabel, Vec<TrainRow>)]) -> Figures<'a> {
    let preferences = frontier.iter().map(|row| PreferencesRow {
        run: row.run.clone(),
        step: row.step,
        accuracy: 0.5 + row.kl_mean / 100.0,
        accuracy_se: row.reward_se,
        margin: row.kl_mean,
        ..PreferencesRow::default()
    });
    let preferences: &[PreferencesRow] = preferences.collect::<Vec<_>>().leak();
    Figures { study: "oracle", reward_label: "mean true reward", frontier, best_of_n: best, preferences, training }
}

/// A fresh folder; removed when it goes out of scope.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn every_figure_is_drawn_and_the_png_is_twice_as_large() {
    let (frontier, best) = (frontier_rows(), [1, 4, 16, 64, 128].map(|n| best(n, 0.5 + 0.05 * (n as f64).log2())));
    let folder = folder();
    let into = folder.path().join("figures");
    let written = draw_all(&data(&frontier, &best, &training_rows()), &into).unwrap();
    assert_eq!(written.len(), 2 * ALL.len());
    assert_eq!(std::fs::read_dir(&into).unwrap().count(), written.len(), "drafts are gone");
    for (name, draw) in ALL {
        let (width, height) = draw(&data(&frontier, &best, &training_rows())).unwrap().size;
        let svg = std::fs::read_to_string(into.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains(&format!("width=\"{width}\" height=\"{height}\"")));
        assert!(svg.contains("oracle:"), "{name}");
        let png = std::fs::read(into.join(format!("{name}.png"))).unwrap();
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!((&png[1..4], number(16), number(20)), (&b"PNG"[..], 2 * width, 2 * height), "{name}");
        assert!(png.len() > 10_000, "{name}: {} bytes", png.len());
    }
}

#[test]
fn axes_and_curves_are_named() {
    let (frontier, best) = (frontier_rows(), [best(1, 0.5), best(4, 0.6)]);
    let svg = |draw: Draw| render::to_svg(&draw(&data(&frontier, &best, &training_rows())).unwrap()).unwrap();
    let shown = svg(frontier::draw);
    for text in
        ["KL(π ‖ π_ref)", "mean true reward", "DPO", "Unlikelihood", "Best-of-N (KL bound)", "reference (step 0)", "β=0.05"]
    {
        assert!(shown.contains(text), "{text}");
    }
    assert!(shown.contains("1 point beyond KL"), "a run far away is cut, and said to be");
    let shown = svg(best_of_n::draw);
    assert!(shown.contains("completions drawn"));
    assert!(!shown.contains("seed"), "runs that differ in N alone are one curve, which needs no legend");
    let shown = svg(training::draw);
    for text in ["optimiser step", "rewards/accuracies", "running mean of 10", "DPO β=0.1"] {
        assert!(shown.contains(text), "{text}");
    }
    assert!(svg(fluency::draw).contains("distinct-2"));
}

#[test]
fn without_data_nothing_is_drawn() {
    let folder = folder();
    assert!(draw_all(&data(&[], &[], &[]), folder.path()).unwrap().is_empty());
    let broken = [row("dpo", "", 1, f64::NAN, f64::NAN)];
    assert!(frontier::draw(&data(&broken, &[], &[])).is_none());
}

#[test]
fn odd_values_do_no_harm() {
    let nan = f64::NAN;
    let mut odd = row("made_up<&>", "beta=0.1;;=;x", 0, 1e300, -1e300);
    (odd.reward_se, odd.kl_se, odd.entropy_mean) = (nan, f64::INFINITY, f64::NEG_INFINITY);
    let cases: Vec<Vec<FrontierRow>> = vec![
        vec![row("dpo", "beta=0.1", 0, 0.0, 0.0)],
        vec![row("dpo", "", 5, 2.0, 0.7), row("dpo", "", 5, 2.0, 0.7)],
        vec![row("ppo", "", 1, -0.1, nan), row("ppo", "", 2, nan, 1.0), row("ppo", "", 3, -0.2, 0.5)],
        vec![odd.clone(), row("dpo", "beta=1", 1, 1.0, 0.5), odd],
    ];
    for frontier in &cases {
        let train = |loss| TrainRow { step: 1, loss, rewards_margins: Some(nan), ..TrainRow::default() };
        let run = RunLabel { run: String::new(), method: String::new(), params: String::new(), seed: 0 };
        let training = vec![(run.clone(), vec![train(nan), train(1e308)]), (run, vec![])];
        let best = [best(1, nan), best(0, f64::INFINITY), best(16, 0.5), best(16, 0.5)];
        for (_, draw) in ALL {
            if let Some(drawing) = draw(&data(frontier, &best, &training)) {
                let svg = render::to_svg(&drawing).unwrap();
                assert!(!svg.contains("NaN") && !svg.contains("<&"));
            }
        }
        let folder = folder();
        draw_all(&data(frontier, &best, &training), folder.path()).unwrap();
    }
}
