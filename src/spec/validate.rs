//! Values that have the right type but cannot work: ranges, and what does not go together.

use super::executor;
use super::run::{Reference, SamplesFrom};
use super::source::{Problem, Span};
use super::study::Study;
use super::tasks::{Dialogue, Labelling, Labels, Oracle, Reward, Sentiment, Summarisation, Task};
use super::tree::{self, Table};
use super::validate_training::optimisation;
use super::{tracking, validate_judging};
use crate::methods::{Examples, Role};

/// Checks a whole study; `tables` says where each key was written.
pub fn study(study: &Study, tables: &Table, problems: &mut Vec<Problem>) {
    let mut check = Checker { tables, problems };
    let known = crate::models::BUILTIN_SIZES;
    let size = known.iter().find(|size| study.model.base == format!("builtin:{}", size.name));
    let hint =
        "use \"builtin:tiny\", \"builtin:small\", \"builtin:medium\", a folder in Hugging Face layout, or \"hub:OWNER/NAME\"";
    check.that(size.is_some() || !study.model.is_builtin(), "model.base", "unknown model", hint);
    check.that(
        study.model.vocabulary >= 260,
        "model.vocabulary",
        "a byte-level vocabulary needs at least 260 entries",
        "try 2048",
    );
    if let Some(lora) = &study.model.lora {
        check.that(
            lora.rank > 0,
            "model.lora.rank",
            "`rank` must be at least 1",
            "8 is usual; without [model.lora] all weights train",
        );
        let fine = lora.alpha > 0.0 && lora.alpha.is_finite();
        check.that(fine, "model.lora.alpha", "`alpha` must be greater than 0", "twice the rank is usual");
        let named = !lora.targets.is_empty() && lora.targets.iter().all(|target| !target.is_empty());
        let hint = "name modules, such as [\"q_proj\", \"v_proj\"], or write \"all-linear\"";
        check.that(named, "model.lora.targets", "`targets` must name modules", hint);
    }
    for (name, training) in [("base", &study.base), ("sft", &study.sft)] {
        let at = |key: &str| format!("{name}.{key}");
        check.that(training.size.batch_sequences > 0, &at("batch_sequences"), "a batch must not be empty", "try 64");
        check.that(training.size.max_tokens >= 8, &at("max_tokens"), "sequences this short cannot be trained on", "try 32");
        check.that(training.size.steps > 0 || name == "sft", &at("steps"), "the base model must be trained", "try 1000");
        let context = size.map_or(usize::MAX, |size| size.context);
        let what = format!("`max_tokens` exceeds the model's context of {context}");
        check.that(training.size.max_tokens <= context, &at("max_tokens"), &what, "lower it, or use a larger [model] base");
        let table = tree::get(tables, name).and_then(|value| value.get_ref().as_table());
        let fallback = Span::default();
        check.problems.extend(table.map(|table| optimisation(&training.optimisation, table, &fallback)).unwrap_or_default());
    }
    if let Some(reward_model) = &study.reward_model {
        check.that(reward_model.size.epochs > 0, "reward_model.epochs", "`epochs` must be at least 1", "the paper uses 3");
        check.that(reward_model.size.batch_pairs > 0, "reward_model.batch_pairs", "a batch must not be empty", "try 64");
        let share = reward_model.size.validation_share;
        check.that((0.0..0.9).contains(&share), "reward_model.validation_share", "must lie in [0, 0.9)", "try 0.05");
    }
    match &study.task {
        Task::Sentiment(task) => sentiment(study, task, size.map_or(usize::MAX, |size| size.context), &mut check),
        Task::Summarisation(task) => summarisation(study, task, size.map(|size| size.context), &mut check),
        Task::Dialogue(task) => dialogue(study, task, size.map(|size| size.context), &mut check),
        Task::Oracle(task) => oracle(study, task, size.map_or(usize::MAX, |size| size.context), &mut check),
    }
    data(study, &mut check);
    check.that(
        matches!(study.task, Task::Oracle(_)) || !study.task.corpus().is_empty(),
        &format!("task.{}.corpus", study.task.name()),
        "the list of files is empty",
        "name a file, a glob or a data set of the hub",
    );
    evaluation(study, &mut check);
    validate_judging::judging(study, &mut check);
    executor::validate(study, &mut check);
    tracking::tracking(study, &mut check);
}

/// Longest prompt and answer of the built-in worlds in tokens, each with its start or end token.
const BUILTIN_POST: [usize; 2] = [50, 22];
const BUILTIN_QUESTION: [usize; 2] = [26, 26];

fn summarisation(study: &Study, task: &Summarisation, context: Option<usize>, check: &mut Checker<'_>) {
    let at = |key: &str| format!("task.summarisation.{key}");
    builtin_corpus(study, &at("corpus"), &task.corpus, "builtin:posts", task.reward.is_some(), check);
    if let Some(context) = context {
        fits(BUILTIN_POST[0], study.evaluation.max_new_tokens.max(task.max_new_tokens), context, check);
    }
    let sampled = task.comparisons.is_empty();
    let what = "summaries of real posts have no true reward that could compare them";
    let hint = "give files of comparisons, such as OpenAI's summarize-from-feedback";
    check.that(!sampled || task.reward.is_some(), &at("comparisons"), what, hint);
    let what = "the built-in world compares summaries of its own";
    check.that(sampled || task.reward.is_none(), &at("comparisons"), what, "remove it");
    let ood = &task.out_of_distribution;
    let known = ood.iter().all(|name| !name.starts_with("builtin:")) || (ood == &["builtin:news"] && task.reward.is_some());
    let hint = "\"builtin:news\" goes with \"builtin:posts\", and files with files; [] leaves it out";
    check.that(known, &at("out_of_distribution"), "this does not go with the corpus", hint);
    let builtin = task.reward.is_some();
    let real = builtin && !ood.is_empty() && ood != &["builtin:news"];
    check.that(!real, &at("out_of_distribution"), "a built-in model has no words for real articles", hint);
    check.that(task.prompts > 0, &at("prompts"), "`prompts` must be at least 1", "try 4000");
    check.that(task.completions >= 2, &at("completions"), "a comparison needs at least 2 completions", "try 4");
    check.that(task.max_new_tokens > 0, &at("max_new_tokens"), "must be at least 1", "try 24");
    let what = "a longest length of 0 leaves nothing";
    check.that(task.max_tokens[0] > 0, &at("max_prompt_tokens"), what, "try 512");
    check.that(task.max_tokens[1] > 0, &at("max_completion_tokens"), what, "try 128");
    let enough = task.demonstrations == 0 || task.demonstrations >= task.prompts;
    let builtin_needs = !builtin || task.demonstrations > 0;
    check.that(builtin_needs, &at("demonstrations"), "a built-in world has no end: say how many", "try 16000");
    let what = "must not be fewer than `prompts`, which are taken from them";
    check.that(enough || !sampled, &at("demonstrations"), what, "raise it, or lower `prompts`");
    if builtin {
        labelling(&task.labelling, "summarisation", check);
    }
    true_reward(study, builtin, check);
}

fn dialogue(study: &Study, task: &Dialogue, context: Option<usize>, check: &mut Checker<'_>) {
    let at = |key: &str| format!("task.dialogue.{key}");
    builtin_corpus(study, &at("corpus"), &task.corpus, "builtin:questions", task.reward.is_some(), check);
    if let Some(context) = context {
        fits(BUILTIN_QUESTION[0], study.evaluation.max_new_tokens, context, check);
    }
    let what = "a longest length of 0 leaves nothing";
    check.that(task.max_prompt_tokens > 0, &at("max_prompt_tokens"), what, "try 256");
    check.that(task.max_completion_tokens > 0, &at("max_completion_tokens"), what, "try 256");
    let builtin = task.reward.is_some();
    check.that(!builtin || task.pairs > 0, &at("pairs"), "a built-in world has no end: say how many", "try 8000");
    check.that(!builtin || !task.chat, &at("chat"), "the built-in world has no chat template", "remove it");
    if builtin {
        labelling(&task.labelling, "dialogue", check);
    }
    true_reward(study, builtin, check);
}

/// A built-in world goes with a built-in model, and real text with a pretrained one.
fn builtin_corpus(study: &Study, key: &str, corpus: &[String], known: &str, builtin: bool, check: &mut Checker<'_>) {
    if let Some(name) = corpus.iter().find(|name| name.starts_with("builtin:") && corpus != [known]) {
        let hint = format!("the built-in corpus of this task is \"{known}\", by itself");
        check.that(false, key, &format!("unknown built-in corpus `{name}`"), &hint);
    }
    let what = "a built-in model has no words for real text";
    let hint = "name a folder in Hugging Face layout, or \"hub:OWNER/NAME\"";
    check.that(builtin || !study.model.is_builtin(), "model.base", what, hint);
    let what = "the built-in world's words are not a pretrained model's";
    check.that(!builtin || study.model.is_builtin(), "model.base", what, "use \"builtin:mini\", or a corpus of real text");
}

fn fits(prompt: usize, new_tokens: usize, context: usize, check: &mut Checker<'_>) {
    let what = format!("prompts of up to {prompt} tokens and completions of {new_tokens} do not fit a context of {context}");
    check.that(prompt + new_tokens <= context, "model.base", &what, "use \"builtin:mini\", or lower evaluation.max_new_tokens");
}

/// What reads a true reward needs one.
fn true_reward(study: &Study, known: bool, check: &mut Checker<'_>) {
    for run in &study.runs {
        if let Role::Reinforce(ppo) = run.method.role() {
            let key = format!("method.{}", run.method.name());
            let what = "no true reward of this corpus is known";
            check.that(known || !ppo.uses_true_reward(), &key, what, "use [method.ppo], which learns its reward");
        }
    }
    let what = "the optimum is that of a true reward, and none of this corpus is known";
    check.that(known || study.evaluation.optimum_samples == 0, "evaluation.optimum_samples", what, "remove it");
}

fn sentiment(study: &Study, task: &Sentiment, context: usize, check: &mut Checker<'_>) {
    let [least, most] = task.prefix_tokens;
    let key = "task.sentiment.prefix_tokens";
    check.that(
        least >= 1 && least <= most,
        key,
        "`prefix_tokens` must be [least, most] with 1 <= least <= most",
        "the paper uses [2, 8]",
    );
    let new_tokens = study.evaluation.max_new_tokens.max(task.max_new_tokens);
    let longest = most.saturating_add(new_tokens).saturating_add(1);
    let what = format!("prompts of {most} tokens and completions of {new_tokens} do not fit the model's context of {context}");
    check.that(longest <= context, key, &what, "shorten `prefix_tokens` or `max_new_tokens`, or use a larger [model] base");
    check.that(task.prompts > 0, "task.sentiment.prompts", "`prompts` must be at least 1", "try 2000");
    check.that(
        task.completions >= 2,
        "task.sentiment.completions",
        "a comparison needs at least 2 completions",
        "the paper uses 4",
    );
    check.that(task.max_new_tokens > 0, "task.sentiment.max_new_tokens", "must be at least 1", "try 24");
    let builtin_corpus = task.corpus == ["builtin:reviews"];
    if let Some(name) = task.corpus.iter().find(|name| name.starts_with("builtin:") && !builtin_corpus) {
        let what = format!("unknown built-in corpus `{name}`");
        check.that(false, "task.sentiment.corpus", &what, "the built-in corpus is \"builtin:reviews\", by itself");
    }
    let key = "task.sentiment.reward";
    match &task.reward {
        Reward::Builtin(name) => {
            check.that(name == "sentiment", key, "unknown built-in reward", "use \"builtin:sentiment\"");
            let what = "the built-in world's words are not a pretrained model's";
            check.that(study.model.is_builtin(), "model.base", what, "use \"builtin:tiny\", or a corpus of real text");
            let what = "the built-in reward only knows the built-in world's words";
            check.that(builtin_corpus, key, what, "use reward = { fit = \"linear\" } with a corpus of real text");
        }
        Reward::Oracle(_) => {}
        Reward::Classifier(_) => {
            let what = "a classifier of real text knows nothing of the built-in world";
            check.that(!builtin_corpus, key, what, "use reward = \"builtin:sentiment\"")
        }
        Reward::Fit(_) => {
            check.that(!builtin_corpus, key, "the built-in corpus has no labels to fit", "use reward = \"builtin:sentiment\"")
        }
    }
    labelling(&task.labelling, "sentiment", check);
}

fn labelling(labelling: &Labelling, task: &str, check: &mut Checker<'_>) {
    let at = |key: &str| format!("task.{task}.{key}");
    let noise = (0.0..0.5).contains(&labelling.label_noise);
    check.that(noise, &at("label_noise"), "must lie in [0, 0.5)", "at 0.5 labels say nothing");
    let scale = labelling.reward_scale;
    let sound = scale > 0.0 && scale.is_finite();
    check.that(sound, &at("reward_scale"), "must be greater than 0", "with rewards in [0, 1] try 6");
    let idle = labelling.labels == Labels::Hard && scale != 1.0;
    check.that(
        !idle,
        &at("reward_scale"),
        "hard labels do not read `reward_scale`",
        "set labels = \"bradley-terry\", or remove it",
    );
}

/// Completions of a prompt that can be listed and evaluated in a minute or so.
const MOST_COMPLETIONS: usize = 100_000;

fn oracle(study: &Study, task: &Oracle, context: usize, check: &mut Checker<'_>) {
    let world = &task.world;
    check.that(study.model.is_builtin(), "model.base", "this task's tokens are no pretrained model's", "use \"builtin:tiny\"");
    let hint = "vocabulary = 5 and length = 4 give 341 completions";
    let letters = (4..=28).contains(&world.vocabulary);
    let what = "`vocabulary` must lie in 4 to 28, the end token and the unknown token included";
    check.that(letters, "task.oracle.vocabulary", what, hint);
    let count = world.completions();
    let what = format!("there are {count} completions of a prompt; 1 to {MOST_COMPLETIONS} can be listed");
    check.that(world.length > 0 && count <= MOST_COMPLETIONS, "task.oracle.length", &what, hint);
    let most = world.vocabulary.saturating_sub(2).pow(2);
    let what = format!("there are 1 to {most} distinct prompts of 2 letters");
    check.that((1..=most).contains(&world.prompts), "task.oracle.prompts", &what, "lower it, or raise `vocabulary`");
    check.that(world.length + 4 <= context, "task.oracle.length", "does not fit the model's context", hint);
    check.that(task.comparisons > 0, "task.oracle.comparisons", "must be at least 1", "try 20000");
    let most = study.evaluation.max_new_tokens == world.length;
    let what = format!("must be the longest completion's length, task.oracle.length = {}", world.length);
    check.that(most, "evaluation.max_new_tokens", &what, "write the same number there");
    labelling(&task.labelling, "oracle", check);
}

/// What runs learn from must be there in this task.
fn data(study: &Study, check: &mut Checker<'_>) {
    for run in &study.runs {
        let name = run.method.name();
        let key = |key: &str| {
            let own = format!("method.{name}.{key}");
            if tree::get(check.tables, &own).is_some() { own } else { format!("training.{key}") }
        };
        let [samples, labels, reference] = ["samples_from", "labels", "reference"].map(key);
        let data = &run.data;
        let given = study.task.is_given();
        let own = data.samples_from != SamplesFrom::Reference || data.samples_temperature != 1.0;
        let what = "the comparisons of this task are given, so that nobody samples them";
        check.that(!(given && own), &samples, what, "remove it");
        let own = data.labels.is_some() || data.label_noise.is_some();
        check.that(!(given && own), &labels, "the labels of this task are given", "remove it, and `label_noise`");
        let oracle = matches!(study.task, Task::Oracle(_));
        let base = data.reference == Reference::Base || data.samples_from == SamplesFrom::Base;
        check.that(!(oracle && base), &reference, "in this task the base model is the reference", "remove it");
        let adapted = study.model.lora.is_some() && data.reference == Reference::Base;
        check.that(!adapted, &reference, "adapters of [model.lora] are the study's reference's", "remove it, or [model.lora]");
        if data.samples_from == SamplesFrom::Population {
            check.that(oracle, &samples, "only [task.oracle] has a population that can be listed", "use \"reference\"");
            let pairs = run.method.objective().is_some_and(|objective| objective.examples() == Examples::Pairs);
            let what = format!("{name} does not learn from pairs, and the population is one of pairs");
            check.that(pairs || !run.method.trains(), &samples, &what, "use a method such as dpo");
        }
    }
}

fn evaluation(study: &Study, check: &mut Checker<'_>) {
    let evaluation = &study.evaluation;
    check.that(evaluation.every > 0, "evaluation.every", "`every` must be at least 1", "the paper evaluates every 100 steps");
    check.that(evaluation.prompts > 1, "evaluation.prompts", "a standard error needs at least 2 prompts", "try 256");
    check.that(evaluation.samples_per_prompt > 0, "evaluation.samples_per_prompt", "must be at least 1", "try 1");
    check.that(evaluation.max_new_tokens > 0, "evaluation.max_new_tokens", "must be at least 1", "try 24");
    let temperatures = &evaluation.temperature;
    let key = "evaluation.temperature";
    check.that(!temperatures.is_empty(), key, "the list of temperatures is empty", "use [1.0]");
    check.that(temperatures.iter().all(|t| *t >= 0.0 && t.is_finite()), key, "temperatures must be at least 0", "0 is greedy");
    let share = evaluation.top_p > 0.0 && evaluation.top_p <= 1.0;
    check.that(share, "evaluation.top_p", "`top_p` must lie in (0, 1]", "1.0 cuts nothing");
    let budgets = &evaluation.kl_budgets;
    check.that(
        budgets.iter().all(|b| *b > 0.0 && b.is_finite()),
        "evaluation.kl_budgets",
        "budgets must be greater than 0",
        "in nats",
    );
    let segments = |run: &crate::spec::Run| run.size.steps.div_ceil(run.size.checkpoint_every.max(1));
    let all = study.runs.iter().map(segments).fold(0, u64::saturating_add);
    let what = format!("the runs have {all} checkpoints together, more than the {MOST_SEGMENTS} that can be planned");
    check.that(all <= MOST_SEGMENTS, "training.checkpoint_every", &what, "raise `checkpoint_every`, or sweep over less");
    for run in study.runs.iter().filter(|run| run.method.trains()) {
        let (every, evaluated) = (run.size.checkpoint_every, run.evaluates_every(evaluation.every));
        let fits = every > 0 && evaluated.is_multiple_of(every);
        let what = format!("evaluations every {evaluated} steps are not at checkpoints, which come every {every}");
        if !fits {
            let key = if run.size.evaluate_every > 0 { "training.evaluate_every" } else { "evaluation.every" };
            check.that(false, key, &what, "make it a multiple of `checkpoint_every`");
            break;
        }
    }
}

/// Each is a stage of the plan.
const MOST_SEGMENTS: u64 = 1_000_000;

pub(super) struct Checker<'a> {
    tables: &'a Table,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    pub(super) fn that(&mut self, fine: bool, path: &str, what: &str, hint: &str) {
        if !fine {
            let span = tree::get(self.tables, path).map(|value| value.span());
            self.problems.push(Problem { span, what: what.to_owned(), hint: Some(hint.to_owned()) });
        }
    }
}
