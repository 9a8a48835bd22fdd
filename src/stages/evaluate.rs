//! Stage `evaluate`: rewards, divergence and fluency of a policy's completions, and its accuracy on held-out comparisons.

use super::context::Context;
use super::files::{read_json, write_csv};
use crate::error::Result;
use crate::models::Policy;
use crate::spec::Reward;
use crate::train::{Divergence, Sequence, completion_log_probs, divergences, scores};
use serde::{Deserialize, Serialize};

/// samples.csv: one completion after one held-out prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluatedSample {
    /// Index of the prompt.
    pub prompt: usize,
    /// True reward of the whole text; NaN, which is blank in the file, where it is not known.
    #[serde(with = "crate::report::blank")]
    pub reward: f64,
    /// Learned reward, where there is one.
    pub proxy_reward: Option<f64>,
    /// Sum over steps of the exact KL to the reference, in nats.
    pub kl: f64,
    /// log pi - log ref of the completion, in nats.
    pub log_ratio: f64,
    /// Sum over steps of the policy's entropy, in nats.
    pub entropy: f64,
    /// -log p of the completion under the held-out judge, in nats; not measured for Best-of-N's pool.
    pub judge_nll: Option<f64>,
    /// Tokens, the end token included.
    pub tokens: usize,
    /// Whether it was cut.
    pub truncated: bool,
    /// Bigrams in it.
    pub bigrams: usize,
    /// Bigrams that no earlier completion of the evaluation has.
    pub new_bigrams: usize,
    /// The whole text, prompt included.
    pub text: String,
}

/// preferences.csv and reward_preferences.csv: one held-out comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreferenceRow {
    /// Index of the prompt.
    pub prompt: usize,
    /// Policy: (log pi - log ref) of chosen less rejected. Reward model: score of chosen less rejected.
    pub margin: f64,
}

pub(super) fn run(context: &mut Context<'_>, reward: Option<&Reward>) -> Result<()> {
    let device = context.device.clone();
    let policy = context.policy("policy")?;
    let prompts = context.prompts("prompts")?;
    let generations = context.completions("generations")?;
    let sequences = generations.sequences(&prompts);
    let total = sequences.len();
    let divergence: Vec<Divergence> = if context.same("policy", "reference") && !context.has("held_out_samples") {
        // Best-of-N's pool: the policy is the reference, and a large pool's entropy is not worth its time.
        vec![Divergence::default(); total]
    } else {
        // Adapters off, a policy is its reference, and the weights are in memory once.
        let reference = match policy.decoder.adapters() {
            Some(_) => policy.decoder.without_adapters(),
            None => context.policy("reference")?.decoder,
        };
        divergences(&policy.decoder, &reference, &sequences, &device, |done| context.progress("divergence", done, total))
    };
    let proxy = proxy_rewards(context, &sequences)?;
    let judged = if context.has("fluency") {
        let judge = context.policy("fluency")?.decoder;
        Some(completion_log_probs(&judge, &sequences, &device, |done| context.progress("judging fluency", done, total)))
    } else {
        None
    };
    let truth = reward.map(|reward| context.true_reward(reward)).transpose()?;
    let mut seen = std::collections::HashSet::new();
    let mut rows = Vec::with_capacity(total);
    let texts = sequences.iter().map(|sequence| policy.tokenizer.decode(&[sequence.prompt, sequence.completion].concat()));
    let texts = texts.collect::<Result<Vec<_>>>()?;
    let rewards = match &truth {
        Some(truth) => truth.scores(&texts, |done| context.progress("scoring", done, total))?,
        None => vec![f64::NAN; total],
    };
    for (index, (sequence, text)) in sequences.iter().zip(texts).enumerate() {
        let new_bigrams = sequence.completion.windows(2).filter(|pair| seen.insert([pair[0], pair[1]])).count();
        rows.push(EvaluatedSample {
            prompt: generations.prompt[index],
            reward: rewards[index],
            proxy_reward: proxy.as_ref().map(|proxy| proxy[index]),
            kl: divergence[index].kl,
            log_ratio: divergence[index].log_ratio,
            entropy: divergence[index].entropy,
            judge_nll: judged.as_ref().map(|judged| -judged[index]),
            tokens: sequence.completion.len(),
            truncated: !generations.ended[index],
            bigrams: sequence.completion.len().saturating_sub(1),
            new_bigrams,
            text,
        });
    }
    write_csv(&context.folder.join("samples.csv"), &rows)?;
    if context.has("held_out_samples") {
        preferences(context, &policy, &prompts)?;
    }
    Ok(())
}

/// Learned rewards, shifted to mean 0 over the training completions.
fn proxy_rewards(context: &mut Context<'_>, sequences: &[Sequence<'_>]) -> Result<Option<Vec<f64>>> {
    if !context.has("reward_model") {
        return Ok(None);
    }
    let learned = context.learned_reward()?;
    let device = context.device.clone();
    let total = sequences.len();
    let values = scores(&learned.model, sequences, &device, |done| context.progress("learned reward", done, total));
    Ok(Some(values.into_iter().map(|value| value - learned.mean).collect()))
}

/// Margins of the policy on held-out comparisons, and of the reward model where the policy is the reference.
fn preferences(context: &mut Context<'_>, policy: &Policy, prompts: &[Vec<u32>]) -> Result<()> {
    let device = context.device.clone();
    let own;
    let prompts = if context.has("held_out_prompts") {
        own = context.prompts("held_out_prompts")?;
        &own
    } else {
        prompts
    };
    let samples = context.completions("held_out_samples")?;
    let labelled = context.labelled("held_out_comparisons")?;
    let reference: Vec<f64> = read_json(&context.input("held_out_logprobs")?.join("logprobs.json"))?;
    let sequences = samples.sequences(prompts);
    let margins = |values: &[f64]| -> Vec<PreferenceRow> {
        let row = |(chosen, rejected): &(usize, usize)| PreferenceRow {
            prompt: samples.prompt[*chosen],
            margin: values[*chosen] - values[*rejected],
        };
        labelled.pairs.iter().map(row).collect()
    };
    let log_probs = completion_log_probs(&policy.decoder, &sequences, &device, |_| ());
    let ratios: Vec<f64> = log_probs.iter().zip(&reference).map(|(policy, reference)| policy - reference).collect();
    write_csv(&context.folder.join("preferences.csv"), &margins(&ratios))?;
    if context.same("policy", "reference")
        && let Some(values) = proxy_rewards(context, &sequences)?
    {
        write_csv(&context.folder.join("reward_preferences.csv"), &margins(&values))?;
    }
    Ok(())
}
