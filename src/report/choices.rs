//! What a study decides that the paper does not fix, and where it departs from the paper: deviations.md.

use crate::spec::{Labels, Study, Task};

/// Choices that the paper leaves open and every study makes.
pub fn open_choices(study: &Study) -> Vec<String> {
    let evaluation = &study.evaluation;
    let labels = match &study.task {
        Task::Sentiment(task) if task.labelling.labels == Labels::Hard => {
            format!(
                "labels: the higher true reward is chosen, with {} of the labels flipped; ties are left out",
                task.labelling.label_noise
            )
        }
        Task::Sentiment(task) => format!(
            "labels: drawn from a Bradley-Terry model of the true reward times {}, with {} of them flipped",
            task.labelling.reward_scale, task.labelling.label_noise
        ),
        Task::Oracle(task) => format!(
            "labels: {}, drawn with the true reward times {}, with {} of them flipped",
            task.labelling.labels, task.labelling.reward_scale, task.labelling.label_noise
        ),
        Task::Summarisation(_) | Task::Dialogue(_) if study.task.labelling().is_some() => {
            let labelling = study.task.labelling();
            let scale = labelling.map_or(1.0, |labelling| labelling.reward_scale);
            let noise = labelling.map_or(0.0, |labelling| labelling.label_noise);
            let labels = labelling.map_or(String::new(), |labelling| labelling.labels.to_string());
            format!("labels: {labels}, drawn with the true reward times {scale}, with {noise} of them flipped")
        }
        Task::Summarisation(task) => format!(
            "comparisons are those of the data, with prompts of at most {} and completions of at most {} tokens; no true reward is known, \
             so that policies are compared by judges, held-out comparisons and KL",
            task.max_tokens[0], task.max_tokens[1]
        ),
        Task::Dialogue(task) => format!(
            "comparisons are those of the data, with prompts of at most {} and completions of at most {} tokens; no true reward is known, \
             so that policies are compared by held-out comparisons and KL",
            task.max_prompt_tokens, task.max_completion_tokens
        ),
    };
    vec![
        format!(
            "{} held-out prompts, distinct and none of them a training prompt, with {} completion(s) each; the same prompts and the \
             same random numbers for every policy{}",
            evaluation.prompts,
            evaluation.samples_per_prompt,
            match &study.task {
                Task::Sentiment(_) => {
                    ". Few short prefixes are left once training prompts are taken out, so held-out prompts are longer than training \
                     prompts on average"
                }
                Task::Summarisation(_) | Task::Dialogue(_) => "",
                Task::Oracle(_) => ". In this world training has the same few prompts",
            }
        ),
        format!("completions of at most {} tokens; one that is longer is cut and counted in truncated_share", evaluation.max_new_tokens),
        "KL: the exact sum over the vocabulary at each step of sampled completions (kl_mean), and the sampled log-ratio beside it \
         (kl_sampled_mean), both at temperature 1 and with the end token"
            .to_owned(),
        labels,
        format!("seeds: {} for the study, and each run's own beside it", study.seed),
        match &study.reward_model {
            Some(training) => format!(
                "the learned reward keeps {:.0} % of the prompts aside to choose its epoch",
                training.size.validation_share * 100.0
            ),
            None => "no learned reward".to_owned(),
        },
        "stopping: a fixed number of steps".to_owned(),
        "intervals resample prompts; they are conditional on the policies that were trained, one for each run".to_owned(),
        "reward at a KL budget is read from the envelope of all of a method's points; the best of several noisy points is on average \
         a little too high, the more so the more points a method has"
            .to_owned(),
    ]
}

/// deviations.md
pub fn deviations(study: &Study) -> String {
    let mut text = format!("# {}: where this study departs from the paper\n\n", study.name);
    if study.deviations.is_empty() {
        text.push_str("The experiment file marks no value as departing from the paper.\n");
    } else {
        text.push_str("| key | here | paper |\n|---|---|---|\n");
        for deviation in &study.deviations {
            text.push_str(&format!("| `{}` | {} | {} |\n", deviation.key, deviation.value, deviation.paper));
        }
    }
    text.push_str("\n## Choices that the paper does not fix\n\n");
    for choice in open_choices(study) {
        text.push_str(&format!("- {choice}\n"));
    }
    text
}
