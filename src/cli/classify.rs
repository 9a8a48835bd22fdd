//! `dpo-lab classify`

use super::model::{Model, Opened};
use super::output::Output;
use super::score::{is_there, some_rows, text};
use crate::data::read;
use crate::error::{Error, Exit, Result};
use crate::models::encoder::{Encoder, best};
use crate::models::hf::Fields;
use crate::models::hf::encoders::EncoderFamily;
use crate::models::{Decoder, Tokenizer};
use burn::tensor::Device;
use clap::Args;
use std::path::PathBuf;

/// What a sequence classifier says of texts: BERT, RoBERTa, DistilBERT, or a decoder that scores.
#[derive(Debug, Args)]
pub(super) struct Classify {
    #[command(flatten)]
    model: Model,
    /// Rows with `text`
    data: PathBuf,
    /// Write here instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Rows that are classified together.
const ROWS: usize = 256;

enum Classifier {
    Encoder(Box<Encoder>),
    Decoder(Box<Decoder>, Vec<String>),
}

impl Classify {
    pub(super) fn run(self) -> Result<Exit> {
        let model = self.model.open()?;
        let (classifier, device) = (Classifier::load(&model)?, &model.device);
        let tokenizer = Tokenizer::open(&model.folder)?;
        let labels = classifier.labels().to_vec();
        let mut output = Output::create(self.out.as_deref(), &self.data)?;
        let logits = (0..labels.len()).map(|index| format!("logit_{index}"));
        let header: Vec<String> = ["row", "label", "score"].map(str::to_owned).into_iter().chain(logits).collect();
        output.fields(&header)?;
        let (mut waiting, mut first, mut cut) = (Vec::new(), 0, 0);
        let count = read::rows(is_there(&self.data)?, &mut |row| {
            let (tokens, too_long) = classifier.encode(&tokenizer, text(&row, "text", &self.data)?)?;
            if tokens.is_empty() {
                return Err(row.wrong(&self.data, "an empty text has no tokens to classify; give it one"));
            }
            cut += usize::from(too_long);
            waiting.push(tokens);
            if waiting.len() == ROWS {
                first = write(&classifier, &labels, &std::mem::take(&mut waiting), first, device, &mut output)?;
            }
            Ok(())
        })?;
        write(&classifier, &labels, &waiting, first, device, &mut output)?;
        some_rows(count, &self.data)?;
        if cut > 0 {
            tell!("{cut} texts are longer than the model's context and were cut there");
        }
        output.finish()?;
        Ok(Exit::Done)
    }
}

impl Classifier {
    fn load(model: &Opened) -> Result<Self> {
        let (path, fields) = Fields::open(&model.folder)?;
        if EncoderFamily::knows(&fields) {
            return Ok(Classifier::Encoder(Box::new(Encoder::load(&model.folder, &model.device)?)));
        }
        let decoder = model.with_adapters(Decoder::load(&model.folder, &model.device)?)?;
        if decoder.config.scores == 0 {
            let what = "predicts tokens and classifies nothing; use `dpo-lab score`";
            return Err(Error::Data(format!("{} {what}", path.display())));
        }
        let labels = fields.labels().map_err(|what| Error::Data(format!("{}: {what}", path.display())))?;
        Ok(Classifier::Decoder(Box::new(decoder), labels))
    }

    fn labels(&self) -> &[String] {
        match self {
            Classifier::Encoder(encoder) => encoder.labels(),
            Classifier::Decoder(_, labels) => labels,
        }
    }

    /// Tokens of a text, and whether it was too long.
    fn encode(&self, tokenizer: &Tokenizer, text: &str) -> Result<(Vec<u32>, bool)> {
        match self {
            Classifier::Encoder(encoder) => encoder.encode(tokenizer, text),
            Classifier::Decoder(decoder, _) => {
                let mut tokens = tokenizer.encode_wrapped(text)?;
                let cut = tokens.len() > decoder.config.context;
                tokens.truncate(decoder.config.context);
                Ok((tokens, cut))
            }
        }
    }

    fn logits(&self, sequences: &[Vec<u32>], device: &Device) -> Result<Vec<Vec<f32>>> {
        match self {
            Classifier::Encoder(encoder) => encoder.logits(sequences, |_| ()),
            Classifier::Decoder(decoder, _) => Ok(decoder.classify(sequences, device)),
        }
    }
}

/// Classifies rows, writes them, and returns the number of the next one.
fn write(
    classifier: &Classifier,
    labels: &[String],
    rows: &[Vec<u32>],
    first: usize,
    device: &Device,
    output: &mut Output,
) -> Result<usize> {
    for (index, logits) in classifier.logits(rows, device)?.into_iter().enumerate() {
        let (label, score) = best(&logits).unwrap_or((0, f64::NAN));
        let fields = [(first + index).to_string(), labels.get(label).cloned().unwrap_or_default(), score.to_string()];
        let logits = logits.iter().map(f32::to_string);
        output.fields(&fields.into_iter().chain(logits).collect::<Vec<_>>())?;
    }
    Ok(first + rows.len())
}
