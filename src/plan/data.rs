//! What runs learn from: prompts, completions, labels, and the reference's log-probs of them.

use super::graph::{Graph, Shared, without_place};
use super::work::{Split, Work};
use crate::methods::Examples;
use crate::spec::{Fit, Labelling, Reference, Reward, Run, SamplesFrom, Summarisation, Task};
use crate::store::Key;

/// Labelled completions.
#[derive(Clone)]
pub(super) struct Dataset {
    pub(super) prompts: Key,
    pub(super) samples: Key,
    pub(super) comparisons: Key,
    /// All completions of each prompt in order, for methods that learn from that.
    pub(super) rankings: Option<Key>,
    /// Log-probs under the policy that training starts from.
    pub(super) logprobs: Key,
    /// The same of completions after prompts that are not theirs, for methods that measure a KL by them.
    pub(super) mismatched: Option<Key>,
}

/// How a task makes labelled completions.
pub(super) struct Labelled<'a> {
    pub(super) prefix_tokens: [usize; 2],
    pub(super) completions: usize,
    pub(super) max_new_tokens: usize,
    pub(super) reward: &'a Reward,
    pub(super) labelling: &'a Labelling,
    pub(super) classifier: Option<&'a Key>,
}

impl<'a> Labelled<'a> {
    /// Summaries of a world whose true reward is known.
    pub(super) fn summaries(task: &'a Summarisation, labelling: &'a Labelling) -> Self {
        Labelled {
            prefix_tokens: [1, 1],
            completions: task.completions,
            max_new_tokens: task.max_new_tokens,
            // Without it there is nothing to learn from, which validation has said.
            reward: task.reward.as_ref().unwrap_or(&Reward::Fit(Fit::Linear)),
            labelling,
            classifier: None,
        }
    }
}

impl Graph<'_> {
    /// The study's own labelled completions of one side, written by the reference.
    pub(super) fn dataset(
        &mut self,
        kind: &Labelled<'_>,
        split: Split,
        count: usize,
        reference: &Key,
        train: Option<&Key>,
    ) -> Dataset {
        let name = if split == Split::Train { "" } else { "held-out " };
        let work = Work::Prompts { split, prefix_tokens: kind.prefix_tokens, count, seed: self.study.seed };
        let mut inputs = vec![("reference", reference)];
        inputs.extend(train.map(|key| ("train", key)));
        let prompts = self.add_on_corpus(format!("{name}prompts"), work, &inputs);
        self.labelled(kind, name, &prompts, reference)
    }

    /// Completions of these prompts by the reference, labelled.
    pub(super) fn labelled(&mut self, kind: &Labelled<'_>, name: &str, prompts: &Key, reference: &Key) -> Dataset {
        let samples = self.samples(kind, name, "", prompts, reference, 1.0);
        let comparisons = self.labels(kind, name, "", prompts, &samples, reference);
        let logprobs = self.logprobs(&format!("{name}reference log-probs"), prompts, &samples, reference);
        Dataset { prompts: *prompts, samples, comparisons, rankings: None, logprobs, mismatched: None }
    }

    /// What a run's segment learns from. `policy` is the run's own at its start; `label` and `first` say which run and step.
    pub(super) fn training_data(&mut self, run: &Run, label: &str, first: u64, policy: &Key, shared: &Shared) -> Dataset {
        let study = self.study;
        let start = *self.start(run, shared);
        let starts = if run.data.reference == Reference::Base { "base" } else { "reference" };
        let mut dataset = shared.train.clone();
        let labelling;
        let kind = match &study.task {
            task if task.is_given() => {
                dataset.logprobs = self.logprobs(&format!("{starts} log-probs"), &dataset.prompts, &dataset.samples, &start);
                self.add_mismatched(run, &format!("mismatched {starts} log-probs"), &start, &mut dataset);
                return dataset;
            }
            Task::Oracle(oracle) if run.data.samples_from == SamplesFrom::Population => {
                let (world, labelling) = (oracle.world.clone(), self.labelling(run, &oracle.labelling));
                let name = format!("population{}", variant(run));
                let work = Work::Population { world, labelling };
                let all = self.add(name.clone(), work, &[("reference", &shared.reference)]);
                let logprobs = self.logprobs(&format!("{name}, {starts} log-probs"), &all, &all, &start);
                return Dataset { prompts: all, samples: all, comparisons: all, rankings: None, logprobs, mismatched: None };
            }
            Task::Oracle(oracle) => {
                labelling = self.labelling(run, &oracle.labelling);
                Labelled {
                    prefix_tokens: [2, 2],
                    completions: 2,
                    max_new_tokens: oracle.world.length,
                    reward: &oracle.reward,
                    labelling: &labelling,
                    classifier: None,
                }
            }
            Task::Sentiment(task) => {
                labelling = self.labelling(run, &task.labelling);
                Labelled {
                    prefix_tokens: task.prefix_tokens,
                    completions: task.completions,
                    max_new_tokens: task.max_new_tokens,
                    reward: &task.reward,
                    labelling: &labelling,
                    classifier: shared.classifier.as_ref(),
                }
            }
            Task::Summarisation(task) => {
                labelling = self.labelling(run, &task.labelling);
                Labelled::summaries(task, &labelling)
            }
            Task::Dialogue(_) => return dataset,
        };
        let temperature = run.data.samples_temperature;
        let mut of = match run.data.samples_from {
            SamplesFrom::Reference | SamplesFrom::Population => String::new(),
            SamplesFrom::Base => " of base".to_owned(),
            SamplesFrom::Policy => format!(" of {label} {first}"),
        };
        if temperature != 1.0 {
            of = format!("{of} at temperature {temperature}");
        }
        let writer = match run.data.samples_from {
            SamplesFrom::Base => &shared.base,
            SamplesFrom::Policy => policy,
            SamplesFrom::Reference | SamplesFrom::Population => &shared.reference,
        };
        dataset.samples = if study.model.lora.is_some() && *writer != shared.reference && *writer != shared.base {
            // Adapters alone cannot write.
            let work = self.sampling(&kind, temperature);
            let inputs = [("policy", writer), ("reference", &shared.reference), ("prompts", &dataset.prompts)];
            self.add(format!("samples{of}"), work, &inputs)
        } else {
            self.samples(&kind, "", &of, &dataset.prompts, writer, temperature)
        };
        let labelled = format!("{of}{}", variant(run));
        dataset.comparisons = self.labels(&kind, "", &labelled, &dataset.prompts, &dataset.samples, &shared.reference);
        dataset.logprobs = self.logprobs(&format!("{starts} log-probs{of}"), &dataset.prompts, &dataset.samples, &start);
        self.add_mismatched(run, &format!("mismatched {starts} log-probs{of}"), &start, &mut dataset);
        if run.method.objective().is_some_and(|objective| objective.examples() == Examples::Rankings) {
            let work = Work::Rankings { labelling: kind.labelling.clone(), seed: self.study.seed };
            let inputs = [("samples", &dataset.samples), ("comparisons", &dataset.comparisons)];
            dataset.rankings = Some(self.add(format!("rankings{labelled}"), work, &inputs));
        }
        dataset
    }

    /// The policy that a run starts from.
    pub(super) fn start<'a>(&self, run: &Run, shared: &'a Shared) -> &'a Key {
        match run.data.reference {
            Reference::Sft => &shared.reference,
            Reference::Base => &shared.base,
        }
    }

    /// The task's way of labelling, with what a run says itself.
    fn labelling(&self, run: &Run, task: &Labelling) -> Labelling {
        let labels = run.data.labels.unwrap_or(task.labels);
        Labelling { labels, label_noise: run.data.label_noise.unwrap_or(task.label_noise), ..task.clone() }
    }

    fn samples(&mut self, kind: &Labelled<'_>, name: &str, of: &str, prompts: &Key, writer: &Key, temperature: f64) -> Key {
        let work = self.sampling(kind, temperature);
        self.add(format!("{name}samples{of}"), work, &[("reference", writer), ("prompts", prompts)])
    }

    fn sampling(&self, kind: &Labelled<'_>, temperature: f64) -> Work {
        let (completions, max_new_tokens) = (kind.completions, kind.max_new_tokens);
        Work::Samples { completions, temperature, max_new_tokens, seed: self.study.seed }
    }

    fn labels(&mut self, kind: &Labelled<'_>, name: &str, of: &str, prompts: &Key, samples: &Key, reference: &Key) -> Key {
        let (reward, labelling) = (without_place(kind.reward), kind.labelling.clone());
        let work = Work::Comparisons { reward, labelling, seed: self.study.seed };
        let mut inputs = vec![("reference", reference), ("prompts", prompts), ("samples", samples)];
        inputs.extend(kind.classifier.map(|key| ("classifier", key)));
        self.add(format!("{name}comparisons{of}"), work, &inputs)
    }

    fn logprobs(&mut self, name: &str, prompts: &Key, samples: &Key, reference: &Key) -> Key {
        let inputs = [("reference", reference), ("prompts", prompts), ("samples", samples)];
        self.add(name, Work::ReferenceLogprobs { mismatched: false }, &inputs)
    }

    fn add_mismatched(&mut self, run: &Run, name: &str, reference: &Key, dataset: &mut Dataset) {
        if run.method.objective().is_some_and(|objective| objective.needs_mismatched()) {
            let inputs = [("reference", reference), ("prompts", &dataset.prompts), ("samples", &dataset.samples)];
            dataset.mismatched = Some(self.add(name, Work::ReferenceLogprobs { mismatched: true }, &inputs));
        }
    }
}

/// What a run's labels have of their own, for names of stages.
fn variant(run: &Run) -> String {
    let labels = run.data.labels.map(|labels| format!(", {labels} labels"));
    let noise = run.data.label_noise.map(|noise| format!(", noise {noise}"));
    [labels, noise].into_iter().flatten().collect()
}
