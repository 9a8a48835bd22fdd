//! Values that have the right type but cannot work: ranges, and what does not go together.

use super::source::{Problem, Span};
use super::study::{Dialogue, Labels, Optimisation, Optimizer, Reward, Sentiment, Study, Task, TrainingSize};
use super::tree::{self, Table};
use crate::methods::Role;

/// Checks a whole study; `tables` says where each key was written.
pub fn study(study: &Study, tables: &Table, problems: &mut Vec<Problem>) {
    let mut check = Checker { tables, problems };
    let known = crate::models::BUILTIN_SIZES;
    let size = known.iter().find(|size| study.model.base == format!("builtin:{}", size.name));
    let hint = "use \"builtin:tiny\", \"builtin:small\", a folder in Hugging Face layout, or \"hub:OWNER/NAME\"";
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
        Task::Dialogue(task) => dialogue(study, task, &mut check),
    }
    check.that(
        !study.task.corpus().is_empty(),
        &format!("task.{}.corpus", study.task.name()),
        "the list of files is empty",
        "name a file, a glob or a data set of the hub",
    );
    evaluation(study, &mut check);
}

fn dialogue(study: &Study, task: &Dialogue, check: &mut Checker<'_>) {
    let what = "a built-in model has no words for real dialogues";
    check.that(!study.model.is_builtin(), "model.base", what, "name a folder in Hugging Face layout, or \"hub:OWNER/NAME\"");
    let what = "a longest length of 0 leaves nothing";
    check.that(task.max_prompt_tokens > 0, "task.dialogue.max_prompt_tokens", what, "try 256");
    check.that(task.max_completion_tokens > 0, "task.dialogue.max_completion_tokens", what, "try 256");
    let best_of_n = study.runs.iter().any(|run| matches!(run.method.role(), Role::BestOfN { .. }));
    check.that(
        !best_of_n,
        "method.best_of_n",
        "is not there yet for dialogues: its completions have no true reward",
        "remove it",
    );
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
        Reward::Classifier(_) => {
            let what = "a classifier of real text knows nothing of the built-in world";
            check.that(!builtin_corpus, key, what, "use reward = \"builtin:sentiment\"")
        }
        Reward::Fit(_) => {
            check.that(!builtin_corpus, key, "the built-in corpus has no labels to fit", "use reward = \"builtin:sentiment\"")
        }
    }
    check.that(
        (0.0..0.5).contains(&task.label_noise),
        "task.sentiment.label_noise",
        "must lie in [0, 0.5)",
        "at 0.5 labels say nothing",
    );
    let scale = task.reward_scale;
    check.that(
        scale > 0.0 && scale.is_finite(),
        "task.sentiment.reward_scale",
        "must be greater than 0",
        "with rewards in [0, 1] try 6",
    );
    let idle = task.labels == Labels::Hard && scale != 1.0;
    check.that(
        !idle,
        "task.sentiment.reward_scale",
        "hard labels do not read `reward_scale`",
        "set labels = \"bradley-terry\", or remove it",
    );
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
    for run in study.runs.iter().filter(|run| run.method.objective().is_some()) {
        let every = run.size.checkpoint_every;
        let fits = every > 0 && evaluation.every.is_multiple_of(every);
        let what = format!("`every` = {} is not a multiple of `checkpoint_every` = {every}", evaluation.every);
        if !fits {
            check.that(false, "evaluation.every", &what, "evaluations happen at checkpoints");
            break;
        }
    }
}

/// Checks an optimiser's values.
pub fn optimisation(values: &Optimisation, table: &Table, fallback: &Span) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut that = |fine: bool, key: &str, what: &str, hint: &str| {
        if !fine {
            let span = table.get(key).map_or(fallback.clone(), |value| value.span());
            problems.push(Problem::at(span, format!("`{key}` {what}")).hint(hint));
        }
    };
    let positive = |value: f64| value > 0.0 && value.is_finite();
    let share = |value: f64| (0.0..1.0).contains(&value);
    that(positive(values.learning_rate), "learning_rate", "must be greater than 0", "for example 1e-4");
    that(values.gradient_accumulation_steps > 0, "gradient_accumulation_steps", "must be at least 1", "1 runs a batch at once");
    that(
        positive(values.max_grad_norm),
        "max_grad_norm",
        "must be greater than 0",
        "the authors' code uses 10.0; inf is not TOML's",
    );
    that(values.weight_decay >= 0.0 && values.weight_decay.is_finite(), "weight_decay", "must be at least 0", "0.0 turns it off");
    that(share(values.momentum), "momentum", "must lie in [0, 1)", "0.0 turns it off");
    that(share(values.smoothing), "smoothing", "must lie in [0, 1)", "PyTorch's default is 0.99");
    that(share(values.adam_beta1), "adam_beta1", "must lie in [0, 1)", "PyTorch's default is 0.9");
    that(share(values.adam_beta2), "adam_beta2", "must lie in [0, 1)", "PyTorch's default is 0.999");
    that(values.epsilon >= 0.0 && values.epsilon.is_finite(), "epsilon", "must be at least 0", "PyTorch's default is 1e-8");
    let idle = values.optimizer == Optimizer::Adamw && values.momentum != 0.0;
    that(!idle, "momentum", "is not read by adamw", "use adam_beta1, or optimizer = \"sgd\"");
    problems
}

/// Checks a run's sizes.
pub fn training(size: &TrainingSize, table: &Table, fallback: &Span) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut that = |fine: bool, key: &str, what: String, hint: &str| {
        if !fine {
            let span = table.get(key).map_or(fallback.clone(), |value| value.span());
            problems.push(Problem::at(span, what).hint(hint));
        }
    };
    that(size.steps > 0, "steps", "`steps` must be at least 1".into(), "to evaluate the reference as it is, use [method.sft]");
    that(size.batch_pairs > 0, "batch_pairs", "`batch_pairs` must be at least 1".into(), "the paper uses 64");
    let every = size.checkpoint_every;
    that(every > 0, "checkpoint_every", "`checkpoint_every` must be at least 1".into(), "try 100");
    problems
}

struct Checker<'a> {
    tables: &'a Table,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn that(&mut self, fine: bool, path: &str, what: &str, hint: &str) {
        if !fine {
            let span = tree::get(self.tables, path).map(|value| value.span());
            self.problems.push(Problem { span, what: what.to_owned(), hint: Some(hint.to_owned()) });
        }
    }
}
