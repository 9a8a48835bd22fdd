//! Figures from made-up data, sound and not. Tests of single figures are beside them and take their data from here.

use super::*;

/// Everything that figures are drawn from, owned.
#[derive(Clone, Default)]
pub struct Made {
    pub frontier: Vec<FrontierRow>,
    pub best_of_n: Vec<BestOfNRow>,
    pub training: Vec<(RunLabel, Vec<TrainRow>)>,
    pub oracle: Vec<OracleRow>,
    pub optimum: Vec<OptimumRow>,
    pub seeds: Vec<SeedsRow>,
    pub win_rates: Vec<WinRateRow>,
}

impl Made {
    /// The drawing that a figure makes of it; every checkpoint has held-out comparisons too.
    pub fn draw(&self, draw: Draw) -> Option<Drawing> {
        self.with(draw)
    }

    /// The texts of a figure and everything else that is in its SVG.
    pub fn svg(&self, draw: Draw) -> String {
        render::to_svg(&self.draw(draw).unwrap()).unwrap()
    }

    fn with<T>(&self, act: impl FnOnce(&Figures<'_>) -> T) -> T {
        let preferences = self.frontier.iter().map(|row| PreferencesRow {
            run: row.run.clone(),
            step: row.step,
            accuracy: 0.5 + row.kl_mean / 100.0,
            accuracy_se: row.reward_se,
            margin: row.kl_mean,
            ..PreferencesRow::default()
        });
        act(&Figures {
            study: "oracle",
            reward_label: "mean true reward",
            frontier: &self.frontier,
            best_of_n: &self.best_of_n,
            preferences: &preferences.collect::<Vec<_>>(),
            training: &self.training,
            oracle: &self.oracle,
            optimum: &self.optimum,
            seeds: &self.seeds,
            win_rates: &self.win_rates,
        })
    }
}

pub fn row(method: &str, params: &str, step: u64, kl: f64, reward: f64) -> FrontierRow {
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
        completion_tokens_mean: 40.0 + step as f64 / 10.0,
        truncated_share: 0.1,
        entropy_mean: 2.0,
        distinct_2: 0.6,
    }
}

pub fn best(n: usize, reward: f64) -> BestOfNRow {
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

pub fn won(method: &str, params: &str, step: u64, temperature: f64, win_rate: f64) -> WinRateRow {
    WinRateRow {
        run: format!("{method}-{params}-seed0"),
        method: method.into(),
        params: params.into(),
        step,
        temperature,
        task: "summarisation".into(),
        judge: "true".into(),
        baseline: "reference".into(),
        n: 256,
        win_rate,
        ci_low: win_rate - 0.05,
        ci_high: win_rate + 0.05,
        prompts: 256,
        ..WinRateRow::default()
    }
}

pub fn optimum(kind: &str, kl: f64, reward: f64) -> OptimumRow {
    OptimumRow { kind: kind.into(), beta: 1.0 / kl, kl, reward, reward_se: 0.02, reliable: true, ..OptimumRow::default() }
}

pub fn oracle(method: &str, params: &str, step: u64, kl: f64, kl_to_own_optimum: Option<f64>) -> OracleRow {
    OracleRow {
        run: format!("{method}-{params}"),
        method: method.into(),
        params: params.into(),
        seed: 0,
        step,
        kl,
        reward: 0.5 + 0.1 * kl,
        optimal_reward: 0.51 + 0.1 * kl,
        regret: 0.01,
        kl_to_own_optimum,
    }
}

pub fn seeds(method: &str, params: &str, step: u64, seeds: usize) -> SeedsRow {
    let reward_mean = 0.5 + step as f64 / 1000.0;
    SeedsRow {
        method: method.into(),
        params: params.into(),
        step,
        seeds,
        prompts: 256,
        reward_mean,
        reward_se: 0.01,
        ci_low: reward_mean - 0.02,
        ci_high: reward_mean + 0.02,
        seed_sd: 0.01,
        kl_mean: step as f64 / 100.0,
        completion_tokens_mean: 20.0,
    }
}

pub fn label(method: &str, params: &str) -> RunLabel {
    RunLabel {
        run: format!("{method}-{params}"),
        method: method.into(),
        params: params.into(),
        seed: 0,
        beta: (method == "dpo").then_some(0.1),
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
    let rows = |ppo: bool| {
        let row = |step| TrainRow {
            step,
            loss: 0.69 - step as f64 * 0.005,
            rewards_accuracies: Some(0.5 + step as f64 * 0.005),
            rewards_chosen: (!ppo).then_some(-0.01 * step as f64),
            rewards_rejected: (!ppo).then_some(-0.03 * step as f64),
            logps_chosen: (!ppo).then_some(-20.0 - step as f64),
            logps_rejected: (!ppo).then_some(-21.0 - 2.0 * step as f64),
            objective_kl: ppo.then_some(step as f64 / 10.0),
            policy_clipfrac: ppo.then_some(0.1),
            ..TrainRow::default()
        };
        (1..=50).map(row).collect()
    };
    vec![(label("dpo", "beta=0.1"), rows(false)), (label("ppo", ""), rows(true))]
}

fn win_rate_rows() -> Vec<WinRateRow> {
    let mut rows = Vec::new();
    for temperature in [0.0, 0.5, 1.0] {
        let rate = 0.6 - 0.1 * temperature;
        rows.extend([100, 200].map(|step| won("dpo", "beta=0.1", step, temperature, rate)));
        rows.push(WinRateRow { task: "summarisation-ood".into(), ..won("dpo", "beta=0.1", 200, temperature, 0.4) });
        rows.push(won("prompting", "", 0, temperature, 0.2));
    }
    rows
}

/// A study with data for every figure.
pub fn made() -> Made {
    let mut frontier = frontier_rows();
    for (beta, rate) in [("0.1", "1e-4"), ("1", "1e-4"), ("0.1", "2e-4")] {
        frontier.push(row("ipo", &format!("beta={beta};learning_rate={rate}"), 100, 1.0, 0.6));
    }
    let runs =
        [("comparisons=64", 0.2), ("comparisons=1024", 0.02), ("comparisons=0", 0.002), ("samples_from=population", 0.001)];
    let exact = runs.iter().flat_map(|(params, own)| [1, 2, 3].map(|step| oracle("dpo", params, step, step as f64, Some(*own))));
    Made {
        frontier,
        best_of_n: [1, 4, 16, 64, 128].map(|n| best(n, 0.5 + 0.05 * (n as f64).log2())).into(),
        training: training_rows(),
        oracle: exact.collect(),
        optimum: [0.5, 1.0, 2.0].map(|kl| optimum("exact", kl, 0.6 + 0.1 * kl)).into(),
        seeds: [0, 100, 200].map(|step| seeds("dpo", "beta=0.1", step, 3)).into(),
        win_rates: win_rate_rows(),
    }
}

/// A fresh folder; removed when it goes out of scope.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn every_figure_is_drawn_and_the_png_is_twice_as_large() {
    let (made, folder) = (made(), folder());
    let into = folder.path().join("figures");
    let written = made.with(|data| draw_all(data, &into)).unwrap();
    assert_eq!(written.len(), 2 * ALL.len());
    assert_eq!(std::fs::read_dir(&into).unwrap().count(), written.len(), "drafts are gone");
    for (name, draw) in ALL {
        let (width, height) = made.draw(draw).unwrap().size;
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
    let made = Made { best_of_n: vec![best(1, 0.5), best(4, 0.6)], ..made() };
    let shown = made.svg(frontier::draw);
    for text in [
        "KL(π ‖ π_ref)",
        "mean true reward",
        "DPO",
        "Unlikelihood",
        "Best-of-N (KL bound)",
        "optimum (exact)",
        "reference (step 0)",
        "β=0.05",
    ] {
        assert!(shown.contains(text), "{text}");
    }
    assert!(shown.contains("beyond KL"), "a run far away is cut, and said to be");
    let shown = made.svg(best_of_n::draw);
    assert!(shown.contains("completions drawn"));
    assert!(!shown.contains("seed"), "runs that differ in N alone are one curve, which needs no legend");
    let shown = made.svg(training::draw);
    for text in ["optimiser step", "rewards/accuracies", "running mean of 10", "DPO β=0.1"] {
        assert!(shown.contains(text), "{text}");
    }
    assert!(made.svg(fluency::draw).contains("distinct-2"));
}

#[test]
fn without_data_nothing_is_drawn() {
    let folder = folder();
    assert!(Made::default().with(|data| draw_all(data, folder.path())).unwrap().is_empty());
    let broken = Made { frontier: vec![row("dpo", "", 1, f64::NAN, f64::NAN)], ..Made::default() };
    assert!(broken.draw(frontier::draw).is_none());
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
        [("1", "nan"), ("1e300", "0"), ("-1", "inf"), ("1", "1")]
            .map(|(a, b)| row("dpo", &format!("a={a};b={b}"), 1, nan, 0.1))
            .into(),
    ];
    for frontier in cases {
        let train =
            |loss| TrainRow { step: 1, loss, rewards_margins: Some(nan), logps_chosen: Some(loss), ..TrainRow::default() };
        let run = label("", "");
        let exact = |kl, own| OracleRow { regret: -1.0, ..oracle("", "comparisons=x;comparisons=3", 1, kl, own) };
        let made = Made {
            frontier,
            training: vec![(run.clone(), vec![train(nan), train(1e308)]), (run, vec![])],
            best_of_n: vec![best(1, nan), best(0, f64::INFINITY), best(16, 0.5), best(16, 0.5)],
            oracle: vec![exact(nan, Some(nan)), exact(f64::INFINITY, Some(-1.0)), exact(0.0, Some(1e-300)), exact(1.0, None)],
            optimum: vec![optimum("exact", nan, 1.0), optimum("<&", 1.0, f64::INFINITY), optimum("", 1e300, 0.5)],
            win_rates: odd_win_rates(),
            seeds: vec![SeedsRow { ci_low: nan, kl_mean: f64::INFINITY, ..seeds("", "", 1, 2) }, seeds("<&>", "=;", 0, 9)],
        };
        for (name, draw) in ALL {
            if let Some(drawing) = made.draw(draw) {
                let svg = render::to_svg(&drawing).unwrap();
                assert!(!svg.contains("NaN") && !svg.contains("<&"), "{name}");
            }
        }
        let folder = folder();
        made.with(|data| draw_all(data, folder.path())).unwrap();
    }
}

/// Win rates that no study has, each also out of distribution.
fn odd_win_rates() -> Vec<WinRateRow> {
    let (nan, wide) = (f64::NAN, f64::INFINITY);
    let mut rows = vec![
        won("dpo", "", 1, 0.0, nan),
        won("dpo", "", 1, nan, 0.5),
        won("dpo", "", 2, 0.0, 0.0),
        won("dpo", "", 3, 1e300, 1.0),
        won("best_of_n", "n=x;;=", 0, -1.0, 1e300),
        won("", "", 7, 0.0, -3.0),
        WinRateRow { ci_low: nan, ci_high: nan, judge: "<&>".into(), ..won("made_up<&>", "a=b", 5, 1.0, 0.5) },
        WinRateRow { ci_low: -wide, ci_high: wide, baseline: String::new(), ..won("ppo", "", 5, 1.0, 0.5) },
    ];
    rows.extend(rows.clone().into_iter().map(|row| WinRateRow { task: "-ood".into(), ..row }));
    rows
}
