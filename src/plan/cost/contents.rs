//! What artifacts hold as far as the costs of later stages depend on it: sizes of models, numbers and lengths of texts.

use super::shape::Shape;
use super::texts::{self, Pieces, Texts};
use crate::models::{BUILTIN_SIZES, DecoderConfig};
use crate::plan::{Split, Stage, Work};
use crate::resolve::Corpus;
use crate::store::Key;
use std::collections::HashMap;

/// Of one artifact. What it does not have, or what is not known of it, is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Contents {
    /// A model.
    pub model: Option<Shape>,
    /// Entries of a tokenizer.
    pub vocabulary: Option<f64>,
    /// Prompts, with their start tokens.
    pub prompts: Option<Texts>,
    /// What people write after its prompts: a guess at what a model writes there.
    pub natural: Option<Texts>,
    /// Completions, with their end tokens.
    pub completions: Option<Texts>,
    /// Comparisons of them.
    pub pairs: Option<f64>,
    /// Whether these are weighted, so that every step sees all of them.
    pub weighted: bool,
}

impl Contents {
    /// These, and where something is absent, that of `other`.
    fn or(self, other: Contents) -> Self {
        Contents {
            model: self.model.or(other.model),
            vocabulary: self.vocabulary.or(other.vocabulary),
            prompts: self.prompts.or(other.prompts),
            natural: self.natural.or(other.natural),
            completions: self.completions.or(other.completions),
            pairs: self.pairs.or(other.pairs),
            weighted: self.weighted || other.weighted,
        }
    }

    /// Its prompts; none where it has none.
    pub(super) fn prompts(&self) -> Texts {
        self.prompts.unwrap_or_default()
    }

    /// Its completions; none where it has none.
    pub(super) fn completions(&self) -> Texts {
        self.completions.unwrap_or_default()
    }

    /// `each` completions by a model after each of its prompts, in so many tokens at most.
    pub(super) fn written(&self, each: usize, max_new_tokens: usize) -> Texts {
        let count = self.prompts().count * each as f64;
        let longest = max_new_tokens as f64;
        self.natural.map_or(Texts::at_most(count, longest), |natural| Texts { count, longest, ..natural.cut(longest) })
    }
}

/// What is known of artifacts beside what the plan says: of those in the store what they hold, of those to come what files say.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By key of the stage.
    pub artifacts: HashMap<Key, Contents>,
    /// Tokens of the files that a stage reads all rows of, by its key.
    pub corpora: HashMap<Key, f64>,
}

/// A stage with what it reads.
pub(super) struct Reading<'a> {
    pub(super) stage: &'a Stage,
    contents: &'a HashMap<&'a Key, Contents>,
    known: &'a Known,
}

impl<'a> Reading<'a> {
    pub(super) fn new(stage: &'a Stage, contents: &'a HashMap<&'a Key, Contents>, known: &'a Known) -> Self {
        Reading { stage, contents, known }
    }

    /// What an input holds; nothing where the stage has no such input.
    pub(super) fn input(&self, role: &str) -> Contents {
        self.stage.inputs.get(role).and_then(|key| self.contents.get(key)).copied().unwrap_or_default()
    }

    /// Whether the stage has this input.
    pub(super) fn has(&self, role: &str) -> bool {
        self.stage.inputs.contains_key(role)
    }

    /// Whether two inputs are the same artifact.
    pub(super) fn same(&self, one: &str, other: &str) -> bool {
        self.stage.inputs.get(one) == self.stage.inputs.get(other)
    }

    /// The model of the first of these inputs that is there.
    pub(super) fn model(&self, roles: &[&str]) -> Option<Shape> {
        roles.iter().find_map(|role| self.input(role).model)
    }

    /// What the stage's artifact holds.
    pub(super) fn contents(&self) -> Contents {
        let known = self.known.artifacts.get(&self.stage.key).copied().unwrap_or_default();
        known.or(self.expected())
    }

    /// The same from the plan alone.
    fn expected(&self) -> Contents {
        let corpus = self.stage.corpus.as_ref();
        match &self.stage.work {
            Work::Tokenizer { vocabulary, .. } => {
                let size = corpus.map_or(*vocabulary, |corpus| texts::vocabulary(corpus, *vocabulary));
                Contents { vocabulary: Some(size as f64), ..Contents::default() }
            }
            Work::Base { model, .. } => self.of_model(self.builtin(model)),
            Work::Sft { .. } | Work::SftOnChosen { .. } => self.of_model(self.model(&["base"])),
            Work::RewardModel { .. } => self.of_model(self.model(&["reference"])),
            Work::Train { lora, .. } | Work::Reinforce { lora, .. } => {
                let start = self.model(&["previous", "reference"]);
                let adapted = start.map(|shape| match lora {
                    Some(lora) if !self.has("previous") => shape.with_adapters(lora),
                    _ => shape,
                });
                self.of_model(adapted)
            }
            Work::Given { split, count, max_tokens, .. } => self.given(corpus, *split, *count, *max_tokens),
            Work::FewShot { max_new_tokens, .. } => {
                // Examples are as many as fit.
                let prompts = self.input("prompts");
                let context = self.model(&["base"]).map_or(0.0, |shape| shape.context);
                let longest = (context - *max_new_tokens as f64).max(prompts.prompts().longest);
                Contents { prompts: Some(Texts::at_most(prompts.prompts().count, longest)), ..prompts }
            }
            Work::Prompts { prefix_tokens, count, .. } => self.prefixes(corpus, *prefix_tokens, *count as f64),
            Work::Samples { completions, max_new_tokens, .. } => {
                let written = self.input("prompts").written(*completions, *max_new_tokens);
                Contents { completions: Some(written), ..Contents::default() }
            }
            Work::Generate { sampling, .. } => {
                let written = self.input("prompts").written(sampling.samples, sampling.max_new_tokens);
                Contents { completions: Some(written), ..Contents::default() }
            }
            Work::Comparisons { .. } => {
                let (prompts, completions) = (self.input("prompts").prompts(), self.input("samples").completions());
                let each = completions.count / prompts.count.max(1.0);
                Contents { pairs: Some(prompts.count * each * (each - 1.0) / 2.0), ..Contents::default() }
            }
            Work::Population { world, .. } => {
                let (prompts, each) = (world.prompts as f64, world.completions() as f64);
                let all = texts::oracle(world, prompts);
                let completions = Texts::at_most(prompts * each, world.length as f64);
                let pairs = Some(prompts * each * (each - 1.0));
                let prompts = Some(all.prompts);
                Contents { prompts, completions: Some(completions), pairs, weighted: true, ..Contents::default() }
            }
            Work::Pretrained {}
            | Work::PretrainedClassifier {}
            | Work::Classifier { .. }
            | Work::Rankings { .. }
            | Work::ReferenceLogprobs { .. }
            | Work::Evaluate { .. }
            | Work::Judge { .. }
            | Work::Exact { .. } => Contents::default(),
        }
    }

    fn of_model(&self, model: Option<Shape>) -> Contents {
        Contents { model, ..Contents::default() }
    }

    fn builtin(&self, name: &str) -> Option<Shape> {
        let size = BUILTIN_SIZES.iter().find(|size| name.strip_prefix("builtin:") == Some(size.name))?;
        let vocabulary = self.input("tokenizer").vocabulary? as usize;
        Some(Shape::of(&DecoderConfig::gpt2(vocabulary, size.context, size.width, size.layers, size.heads)))
    }

    fn given(&self, corpus: Option<&Corpus>, split: Split, count: usize, max_tokens: [usize; 2]) -> Contents {
        let [prompt, completion] = max_tokens.map(|most| most as f64);
        let each = 2.0;
        // All rows of files are at most as many as their bytes allow.
        let all = || {
            let tokens = self.known.corpora.get(&self.stage.key).copied().unwrap_or_default();
            let share = if split == Split::HeldOut { 0.1 } else { 1.0 };
            share * tokens / (prompt + each * completion)
        };
        let rows = if count == 0 { all() } else { count as f64 };
        let known = corpus.and_then(|corpus| texts::given(corpus, rows));
        let at_most = || Pieces { prompts: Texts::at_most(rows, prompt), completions: Texts::at_most(each * rows, completion) };
        let (Pieces { prompts, completions }, each) = known.unwrap_or_else(|| (at_most(), each));
        let (prompts, completions) = (prompts.cut(prompt), completions.cut(completion));
        let pairs = if each > 1.0 { rows } else { 0.0 };
        let natural = Some(completions);
        Contents { prompts: Some(prompts), natural, completions: Some(completions), pairs: Some(pairs), ..Contents::default() }
    }

    fn prefixes(&self, corpus: Option<&Corpus>, prefix_tokens: [usize; 2], count: f64) -> Contents {
        let known = match corpus {
            Some(Corpus::Oracle(world)) => Some(texts::oracle(world, count)),
            Some(Corpus::Builtin(_)) => texts::prefixes(count, prefix_tokens),
            Some(Corpus::Files(_) | Corpus::Hub(_)) | None => None,
        };
        let [least, most] = prefix_tokens.map(|tokens| 1.0 + tokens as f64);
        let mean = (least + most) / 2.0;
        let prompts = known.map_or(Texts { count, mean, longest: most }, |known| known.prompts);
        Contents { prompts: Some(prompts), natural: known.map(|known| known.completions), ..Contents::default() }
    }
}
