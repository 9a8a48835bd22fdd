//! Writes small valid inputs for every target: `seeds FOLDER`. All texts are our own.

use dpo_lab::data::formats::Format;
// What the readers report their coverage to.
use dpo_lab::models::hf::{FAMILIES, Fields};
use libfuzzer_sys as _;
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let target = PathBuf::from(std::env::args_os().nth(1).ok_or("name a folder")?);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    experiments(&target.join("experiment"), &root)?;
    rows(&target.join("rows"))?;
    models(&target.join("model"), &root)?;
    tokenizers(&target.join("tokenizer"))?;
    templates(&target.join("chat"), &root)?;
    answers(&target.join("judge"))
}

/// Writes an input under the digest of its bytes.
fn seed(folder: &Path, bytes: &[u8]) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let mut name = std::hash::DefaultHasher::new();
    std::hash::Hasher::write(&mut name, bytes);
    Ok(std::fs::write(folder.join(format!("seed-{:016x}", std::hash::Hasher::finish(&name))), bytes)?)
}

/// The shipped experiments, and one small file for each thing that a file can say.
fn experiments(folder: &Path, root: &Path) -> Outcome {
    for below in ["experiments", "experiments/ablations", "experiments/paper"] {
        for entry in std::fs::read_dir(root.join(below))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                seed(folder, &std::fs::read(path)?)?;
            }
        }
    }
    for text in [
        "name = \"a\"\n[task.sentiment]\n[method.dpo]\nbeta = [0.1, 0.5]\nseed = [0, 1]\n[sweep]\nexclude = [{ \"method.dpo.beta\" = 0.1 }]\n",
        "name = \"b\"\n[task.dialogue]\n[[method.dpo]]\nbeta = 1.0\n[[method.ppo]]\npreset = \"improved\"\n[judge.openai]\nmodel = \"m\"\nmax_calls = 9\n",
        "name = \"c\"\n[task.oracle]\nvocabulary = 7\nlength = 2\nprompts = 2\n[method.best_of_n]\nn = [1, 4]\n[method.kto]\n",
        "name = \"d\"\n[task.summarisation]\n[method.orpo]\n[evaluation]\ntemperature = [0.5, 1.0]\n[judge.length]\n[judge.true]\n",
        "name = \"e\"\n[model]\nbase = \"builtin:small\"\nlora = { rank = 2 }\n[task.sentiment]\nreward = { fit = \"linear\" }\n[method.sft]\n",
    ] {
        seed(folder, text.as_bytes())?;
    }
    Ok(())
}

/// Two rows of every format.
fn examples(format: Format) -> [Value; 2] {
    let messages = json!([{ "role": "user", "content": "Is tea warm?" }]);
    let reply = |text: &str| json!([{ "role": "assistant", "content": text }]);
    match format {
        Format::Text => [json!({ "text": "A good film.", "label": 1 }), json!({ "text": "A dull film.", "label": "neg" })],
        Format::Dialogue => {
            let said = |text: &str| format!("\n\nHuman: Is tea warm?\n\nAssistant: {text}");
            [
                json!({ "chosen": said("Yes."), "rejected": said("No.") }),
                json!({ "chosen": said("It is."), "rejected": said("é") }),
            ]
        }
        Format::Post => {
            let row =
                |summary: &str| json!({ "subreddit": "tea", "title": "Hot", "post": "My tea was hot.", "summary": summary });
            [row("Hot tea."), row("Tea.")]
        }
        Format::SummaryComparison => {
            let row = |choice: u8| {
                json!({ "info": { "post": "My tea was hot.", "title": "Hot", "subreddit": "tea", "article": null },
                        "summaries": [{ "text": "Hot tea." }, { "text": "Tea." }], "choice": choice })
            };
            [row(0), row(1)]
        }
        Format::Article => {
            [json!({ "article": "Tea is hot.", "highlights": "Hot." }), json!({ "article": "Tea cools.", "highlights": "Cool." })]
        }
        Format::Preference => [
            json!({ "prompt": "Is tea warm?", "chosen": "Yes.", "rejected": "No." }),
            json!({ "prompt": messages, "chosen": reply("Yes."), "rejected": reply("No.") }),
        ],
        Format::ShareGpt => {
            let row = |text: &str| {
                json!({ "conversations": [{ "from": "human", "value": "Is tea warm?" }],
                        "chosen": { "from": "gpt", "value": text }, "rejected": { "from": "gpt", "value": "No." } })
            };
            [row("Yes."), row("It is.")]
        }
        Format::Judged => [
            json!({ "prompt": "Is tea warm?", "completion": "Yes.", "label": true }),
            json!({ "prompt": "Is tea warm?", "completion": "No.", "label": false }),
        ],
        Format::Ranking => {
            let row = |first: u8| json!({ "prompt": "Tea?", "completions": ["Yes.", "No."], "ranking": [first, 1 - first] });
            [row(0), row(1)]
        }
        Format::Completion => {
            [json!({ "prompt": "Tea", "completion": " is hot." }), json!({ "prompt": messages, "completion": reply("Yes.") })]
        }
    }
}

fn rows(folder: &Path) -> Outcome {
    for (format, number) in Format::ALL.into_iter().zip(1u8..) {
        let rows = examples(format);
        let lines = format!("{}\n{}\n", rows[0], rows[1]);
        let list = format!("{:#}", json!({ "data": rows }));
        let table = |delimiter: &str| -> String {
            let empty = serde_json::Map::new();
            let fields: Vec<_> = rows.iter().map(|row| row.as_object().unwrap_or(&empty)).collect();
            let names: Vec<&String> = fields[0].keys().collect();
            let cell = |row: &serde_json::Map<String, Value>, name: &String| match &row[name] {
                Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
                other => format!("\"{}\"", other.to_string().replace('"', "\"\"")),
            };
            let line = |row: &serde_json::Map<String, Value>| {
                names.iter().map(|name| cell(row, name)).collect::<Vec<_>>().join(delimiter) + "\n"
            };
            let header = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(delimiter);
            format!("{header}\n{}", fields.iter().map(|row| line(row)).collect::<String>())
        };
        let files = [lines.into_bytes(), list.into_bytes(), table(",").into_bytes(), table("\t").into_bytes(), columns(&rows)?];
        for (kind, bytes) in files.iter().enumerate() {
            for (packing, packed) in [bytes.clone(), gzip(bytes)?, zstd::encode_all(&bytes[..], 3)?].iter().enumerate() {
                // Recognised, and by its name.
                for chosen in [0, number] {
                    seed(folder, &[&[(packing * 5 + kind) as u8, chosen], &packed[..]].concat())?;
                }
            }
        }
    }
    seed(folder, &[&[4, 0], &nested()?[..]].concat())
}

fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Parquet with a column of text for each field.
fn columns(rows: &[Value]) -> Outcome<Vec<u8>> {
    let names: Vec<&String> = rows[0].as_object().map(|row| row.keys().collect()).unwrap_or_default();
    let fields: String = names.iter().map(|name| format!("optional binary {name} (UTF8); ")).collect();
    let text = |row: &Value, name: &String| match &row[name] {
        Value::String(text) => ByteArray::from(text.as_str()),
        other => ByteArray::from(other.to_string().as_str()),
    };
    parquet_file(&format!("message rows {{ {fields} }}"), &|index, column| {
        let values: Vec<ByteArray> = rows.iter().map(|row| text(row, names[index])).collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&vec![1; values.len()]), None)?;
        Ok(())
    })
}

/// Parquet with a list of messages, which has groups inside groups.
fn nested() -> Outcome<Vec<u8>> {
    let schema = "message rows {
        optional group messages (LIST) { repeated group list { optional group element {
            optional binary role (UTF8); optional binary content (UTF8); } } }
        required int32 label; }";
    parquet_file(schema, &|index, column| {
        let texts = [["user", "assistant"], ["Is tea warm?", "Yes."]];
        match index {
            0 | 1 => {
                let values = texts[index].map(ByteArray::from);
                column.typed::<ByteArrayType>().write_batch(&values, Some(&[4, 4]), Some(&[0, 1]))?;
            }
            _ => {
                column.typed::<Int32Type>().write_batch(&[1], None, None)?;
            }
        }
        Ok(())
    })
}

type Fill<'a> = &'a dyn Fn(usize, &mut SerializedColumnWriter<'_>) -> Outcome;

fn parquet_file(schema: &str, fill: Fill<'_>) -> Outcome<Vec<u8>> {
    let schema = Arc::new(parquet::schema::parser::parse_message_type(schema)?);
    let properties = Arc::new(WriterProperties::builder().set_created_by(String::new()).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties)?;
    let mut group = writer.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        fill(index, &mut column)?;
        column.close()?;
        index += 1;
    }
    group.close()?;
    Ok(writer.into_inner()?)
}

/// config.json of the smallest model of every family of decoders.
fn configs() -> Vec<Value> {
    let llama = |family: &str, class: &str| {
        json!({ "model_type": family, "architectures": [class], "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
                "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 2, "vocab_size": 3, "max_position_embeddings": 8,
                "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": true })
    };
    let scaled = json!({ "rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 4 });
    let mut longer = llama("llama", "LlamaForCausalLM");
    longer["rope_scaling"] = scaled;
    vec![
        json!({ "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 4, "n_layer": 1, "n_head": 2, "n_positions": 8,
                "vocab_size": 3, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5 }),
        json!({ "model_type": "gpt2", "architectures": ["GPT2ForSequenceClassification"], "n_embd": 4, "n_layer": 1, "n_head": 2,
                "n_positions": 8, "vocab_size": 3, "activation_function": "gelu_new", "num_labels": 1 }),
        json!({ "model_type": "gptj", "architectures": ["GPTJForCausalLM"], "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 8,
                "rotary_dim": 2, "vocab_size": 3, "activation_function": "gelu_new" }),
        json!({ "model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "hidden_size": 8, "intermediate_size": 4,
                "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 3, "max_position_embeddings": 8, "rotary_pct": 0.5,
                "hidden_act": "gelu", "use_parallel_residual": true, "tie_word_embeddings": false }),
        llama("llama", "LlamaForCausalLM"),
        llama("mistral", "MistralForCausalLM"),
        llama("qwen2", "Qwen2ForCausalLM"),
        llama("qwen3", "Qwen3ForCausalLM"),
        longer,
    ]
}

fn models(folder: &Path, root: &Path) -> Outcome {
    let work = tempfile::tempdir()?;
    let input = |config: &[u8], weights: &[u8]| [&(config.len() as u16).to_le_bytes(), config, weights].concat();
    for config in configs() {
        let text = config.to_string().into_bytes();
        std::fs::write(work.path().join("config.json"), &text)?;
        let (_, fields) = Fields::open(work.path())?;
        let family = FAMILIES.into_iter().find(|family| config["model_type"] == family.model_type).ok_or("a family")?;
        let mut decoder = (family.read)(&fields)?;
        decoder.scores = usize::from(config["num_labels"] == 1);
        let shapes: BTreeMap<String, Vec<usize>> = decoder
            .places()
            .into_iter()
            .flat_map(|(place, shape)| (family.stored)(&decoder, place).shapes(&shape).into_iter().collect::<Vec<_>>())
            .collect();
        let zeros = vec![0; shapes.values().map(|shape| shape.iter().product::<usize>() * 2).max().unwrap_or_default()];
        let views = shapes
            .into_iter()
            .map(|(name, shape)| {
                let bytes = shape.iter().product::<usize>() * 2;
                Ok((name, TensorView::new(Dtype::BF16, shape, &zeros[..bytes])?))
            })
            .collect::<Outcome<Vec<_>>>()?;
        seed(folder, &input(&text, &safetensors::serialize(views, None)?))?;
    }
    for name in ["bert", "distilbert", "roberta"] {
        let fixture = root.join("tests/parity/families").join(name);
        let (config, weights) = (std::fs::read(fixture.join("config.json"))?, std::fs::read(fixture.join("model.safetensors"))?);
        seed(folder, &input(&config, &weights))?;
    }
    let adapter =
        json!({ "peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["c_attn"], "base_model_name_or_path": "x" });
    seed(folder, &input(adapter.to_string().as_bytes(), b""))
}

fn tokenizers(folder: &Path) -> Outcome {
    let work = tempfile::tempdir()?;
    let path = work.path().join("tokenizer.json");
    let texts = ["good film", "bad film", "a good day"];
    for tokenizer in [
        dpo_lab::models::Tokenizer::words(&["good", "bad", "film"])?,
        dpo_lab::models::Tokenizer::byte_level_bpe(texts.into_iter(), 300)?,
    ] {
        tokenizer.save(&path)?;
        let compact: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        seed(folder, &[&[0], compact.to_string().as_bytes()].concat())?;
    }
    let special = json!([{ "id": 0, "content": "<s>", "single_word": false, "lstrip": true, "rstrip": false, "normalized": false,
                           "special": true }]);
    let parts: [(&str, Vec<Value>); 4] = [
        (
            "normalizer",
            vec![
                json!({ "type": "Sequence", "normalizers": [{ "type": "NFKC" }, { "type": "Lowercase" }, { "type": "Strip",
                        "strip_left": true, "strip_right": true }, { "type": "StripAccents" }, { "type": "Prepend", "prepend": "_" }] }),
                json!({ "type": "Replace", "pattern": { "Regex": "a+" }, "content": "b" }),
                json!({ "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true }),
            ],
        ),
        (
            "pre_tokenizer",
            vec![
                json!({ "type": "Split", "pattern": { "Regex": "\\p{L}+|\\s+(?!\\S)" }, "behavior": "Isolated", "invert": false }),
                json!({ "type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": true }),
                json!({ "type": "Sequence", "pretokenizers": [{ "type": "Digits", "individual_digits": true }, { "type": "Punctuation",
                        "behavior": "Contiguous" }, { "type": "BertPreTokenizer" }] }),
            ],
        ),
        (
            "post_processor",
            vec![
                json!({ "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": {
                        "id": "A", "type_id": 0 } }], "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }], "special_tokens": { "<s>": {
                        "id": "<s>", "ids": [0], "tokens": ["<s>"] } } }),
                json!({ "type": "RobertaProcessing", "sep": ["<s>", 0], "cls": ["<s>", 0], "trim_offsets": true, "add_prefix_space": false }),
            ],
        ),
        (
            "decoder",
            vec![
                json!({ "type": "Sequence", "decoders": [{ "type": "Replace", "pattern": { "String": "_" }, "content": " " },
                        { "type": "ByteFallback" }, { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 }] }),
                json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
                json!({ "type": "CTC", "pad_token": "<s>", "word_delimiter_token": "|", "cleanup": true }),
            ],
        ),
    ];
    let bpe = json!({ "type": "BPE", "dropout": null, "unk_token": "<s>", "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": true, "byte_fallback": true, "vocab": { "<s>": 0, "a": 1, "b": 2, "ab": 3 }, "merges": [["a", "b"]] });
    let models = [
        bpe,
        json!({ "type": "Unigram", "unk_id": 0, "vocab": [["<s>", 0.0], ["a", -1.0], ["ab", -1.5]], "byte_fallback": false }),
        json!({ "type": "WordPiece", "unk_token": "<s>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9,
                "vocab": { "<s>": 0, "a": 1, "##b": 2 } }),
    ];
    let base = |model: &Value| json!({ "version": "1.0", "added_tokens": special, "model": model });
    for model in &models {
        seed(folder, &[&[0], base(model).to_string().as_bytes()].concat())?;
    }
    for (key, values) in parts {
        for value in values {
            let mut whole = base(&models[0]);
            whole[key] = value;
            seed(folder, &[&[0], whole.to_string().as_bytes()].concat())?;
        }
    }
    let added = json!({ "bos_token": "<s>", "eos_token": { "content": "</s>" }, "added_tokens_decoder": { "5": { "content": "</s>",
                        "special": true } }, "extra_special_tokens": ["<x>"] });
    for (file, value) in
        [(1, added), (2, json!({ "pad_token": "good" })), (3, json!({ "eos_token_id": [0, 1], "bos_token_id": 0 }))]
    {
        seed(folder, &[&[file], value.to_string().as_bytes()].concat())?;
    }
    Ok(())
}

/// The templates of the parity tests, and what a template can do to take long or grow large.
fn templates(folder: &Path, root: &Path) -> Outcome {
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(root.join("tests/parity/chat/cases.json"))?)?;
    for case in cases {
        seed(folder, case["template"].as_str().unwrap_or_default().as_bytes())?;
    }
    for text in [
        "{% for m in messages %}{{ loop.index }}{{ m['role'] | upper }}: {{ m.content.strip() }}\n{% endfor %}",
        "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
        "{% set ns = namespace(a='x') %}{% for i in range(3) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a }}",
        "{{ messages | tojson(indent=2) }}{{ strftime_now('%d %b %Y') }}{{ messages[::-1] | map(attribute='role') | join(',') }}",
        "{% if tools is none and bos_token is defined %}{{ bos_token * 3 }}{% else %}{{ raise_exception('no') }}{% endif %}",
    ] {
        seed(folder, text.as_bytes())?;
    }
    Ok(())
}

fn answers(folder: &Path) -> Outcome {
    let answer = |text: &str| json!({ "choices": [{ "message": { "role": "assistant", "content": text } }] });
    for text in ["A is short.\nA", "**Preferred:** B", "[[A]]", "Tie", "A\nIt says more.", "you sent sk-fuzz\nB"] {
        seed(folder, answer(text).to_string().as_bytes())?;
    }
    for body in [
        json!({ "choices": [{ "message": { "content": null } }], "usage": { "prompt_tokens": 12, "completion_tokens": 3 } }),
        json!({ "error": { "message": "wrong key sk-fuzz", "code": "invalid_api_key" } }),
        json!({ "error": "busy" }),
        json!({ "message": "no", "code": 404 }),
    ] {
        seed(folder, body.to_string().as_bytes())?;
    }
    Ok(())
}
