//! What each task's runs share: where its prompts, its comparisons and its reference come from.

use super::data::{Dataset, Labelled};
use super::graph::{Graph, References, Shared};
use super::work::{Split, Work};
use crate::spec::{Dialogue, Labelling, Oracle, Reward, Sentiment, Summarisation};
use crate::store::Key;

impl Graph<'_> {
    /// The reference writes completions, and a known reward compares them.
    pub(super) fn sentiment(&mut self, task: &Sentiment) -> Shared {
        let seed = self.study.seed;
        let (base, tokenizer) = self.base();
        let work = Work::Sft { training: self.study.sft.clone(), seed };
        let reference = self.add_on_corpus("sft", work, &[("base", &base)]);
        let classifier = match task.reward {
            Reward::Builtin(_) | Reward::Oracle(_) => None,
            Reward::Fit(_) => Some(self.add_on_corpus("classifier", Work::Classifier { seed }, &[])),
            Reward::Classifier(_) => {
                let model = self.resolved.classifier.clone();
                Some(self.add_model("classifier", Work::PretrainedClassifier {}, model.as_ref()))
            }
        };
        let kind = Labelled {
            prefix_tokens: task.prefix_tokens,
            completions: task.completions,
            max_new_tokens: task.max_new_tokens,
            reward: &task.reward,
            labelling: &task.labelling,
            classifier: classifier.as_ref(),
        };
        let train = self.dataset(&kind, Split::Train, task.prompts, &reference, None);
        let held_out = self.dataset(&kind, Split::HeldOut, self.study.evaluation.prompts, &reference, Some(&train.prompts));
        Shared { classifier, tokenizer, ..Shared::of(base, reference, train, held_out) }
    }

    /// As in sentiment, but the base model is the reference, and every comparison has a prompt of its own: the few prompts come
    /// again and again.
    pub(super) fn oracle(&mut self, task: &Oracle) -> Shared {
        let (base, _) = self.base();
        let kind = Labelled {
            prefix_tokens: [2, 2],
            completions: 2,
            max_new_tokens: task.world.length,
            reward: &task.reward,
            labelling: &task.labelling,
            classifier: None,
        };
        let train = self.dataset(&kind, Split::Train, task.comparisons, &base, None);
        let held_out = self.dataset(&kind, Split::HeldOut, self.study.evaluation.prompts, &base, Some(&train.prompts));
        Shared::of(base, base, train, held_out)
    }

    /// The reference imitates what people wrote. Comparisons are given, or the reference writes summaries and a known reward compares
    /// them.
    pub(super) fn summarisation(&mut self, task: &Summarisation) -> Shared {
        let seed = self.study.seed;
        let (base, _) = self.base();
        let given = |split, count| Work::Given {
            split,
            count,
            multi_turn: true,
            chat: false,
            max_tokens: task.max_tokens,
            labelling: None,
            seed,
        };
        let demonstrations = self.add_on_corpus("demonstrations", given(Split::Train, task.demonstrations), &[("base", &base)]);
        let compared = self.resolved.comparisons.clone().map(|corpus| {
            let work = given(Split::Train, task.pairs);
            (self.add_reading("comparisons", work, &[("base", &base)], Some(corpus.clone()), None), corpus)
        });
        // No policy is measured on a post that anything was trained on.
        let mut inputs = vec![("base", &base), ("train", &demonstrations)];
        inputs.extend(compared.as_ref().map(|(train, _)| ("also_train", train)));
        let work = given(Split::HeldOut, self.study.evaluation.prompts);
        let prompts = self.add_on_corpus("held-out demonstrations", work, &inputs);
        let reference = self.imitating(&base, &demonstrations);
        let [train, held_out] = match compared {
            Some((train, corpus)) => {
                let inputs = [("base", &base), ("train", &train)];
                let work = given(Split::HeldOut, self.study.evaluation.prompts);
                let held_out = self.add_reading("held-out comparisons", work, &inputs, Some(corpus), None);
                self.given_datasets(&reference, train, held_out)
            }
            None => {
                let kind = Labelled::summaries(task, &task.labelling);
                // The first of the demonstrations' posts.
                let few = self.add_on_corpus("prompts", given(Split::Train, task.prompts), &[("base", &base)]);
                [self.labelled(&kind, "", &few, &reference), self.labelled(&kind, "held-out ", &prompts, &reference)]
            }
        };
        let articles = self.resolved.out_of_distribution.clone().map(|corpus| {
            let work = given(Split::HeldOut, self.study.evaluation.prompts);
            let inputs = [("base", &base), ("train", &demonstrations)];
            self.add_reading("out-of-distribution prompts", work, &inputs, Some(corpus), None)
        });
        Shared {
            references: Some(References { train: demonstrations, held_out: prompts }),
            prompts,
            out_of_distribution: articles,
            ..Shared::of(base, reference, train, held_out)
        }
    }

    /// Comparisons are given, and the reference imitates their chosen completions.
    pub(super) fn dialogue(&mut self, task: &Dialogue) -> Shared {
        let seed = self.study.seed;
        let (base, _) = self.base();
        let labelling: Option<Labelling> = task.reward.as_ref().map(|_| task.labelling.clone());
        let given = |split, count| Work::Given {
            split,
            count,
            multi_turn: task.multi_turn,
            chat: task.chat,
            max_tokens: [task.max_prompt_tokens, task.max_completion_tokens],
            labelling: labelling.clone(),
            seed,
        };
        let train = self.add_on_corpus("comparisons", given(Split::Train, task.pairs), &[("base", &base)]);
        let inputs = [("base", &base), ("train", &train)];
        let work = given(Split::HeldOut, self.study.evaluation.prompts);
        let held_out = self.add_on_corpus("held-out comparisons", work, &inputs);
        let reference = self.imitating(&base, &train);
        let references = References { train, held_out };
        let [train, held_out] = self.given_datasets(&reference, train, held_out);
        Shared { references: Some(references), ..Shared::of(base, reference, train, held_out) }
    }

    /// The base model, fine-tuned on the chosen completions of `given`.
    fn imitating(&mut self, base: &Key, given: &Key) -> Key {
        let work = Work::SftOnChosen { training: self.study.sft.clone(), seed: self.study.seed };
        let inputs = [("base", base), ("prompts", given), ("samples", given), ("comparisons", given)];
        self.add("sft", work, &inputs)
    }

    /// Both sides of comparisons that are given, with the reference's log-probs.
    fn given_datasets(&mut self, reference: &Key, train: Key, held_out: Key) -> [Dataset; 2] {
        [("", train), ("held-out ", held_out)].map(|(name, given)| {
            let inputs = [("reference", reference), ("prompts", &given), ("samples", &given)];
            let logprobs = self.add(format!("{name}reference log-probs"), Work::ReferenceLogprobs { mismatched: false }, &inputs);
            Dataset { prompts: given, samples: given, comparisons: given, rankings: None, logprobs, mismatched: None }
        })
    }
}
