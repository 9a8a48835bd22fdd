#!/usr/bin/env python3
"""Open an exported model folder (Hugging Face layout) with transformers and score texts.

    python check_export.py FOLDER '[[1,2,3],[4,5]]'           log-probs from a causal LM
    python check_export.py --reward FOLDER '[[1,2,3],[4,5]]'  scores from a reward model
    python check_export.py FOLDER @texts.json                 the list read from a file
    python check_export.py FOLDER --score SCORES.csv --rows ROWS.jsonl
                                                              compare what `dpo-lab score` wrote

Each item of the list is a list of token ids, or a string, which the folder's own tokenizer turns
into ids (no special tokens added). Nothing is fetched: local_files_only throughout. Packages:
requirements.txt beside this file.

Prints one JSON object:

    kind              "causal-lm" or "reward"
    model_class, tokenizer_class, vocab_size (the model's), tokenizer_size, dtype
    missing_keys, unexpected_keys, mismatched_keys
                      weights that the file lacks, has too many, or has in another shape
    items             one object for each item, in order:
        ids           its token ids
        text          the tokenizer's decoding of ids (null without a tokenizer)
        round_trip    whether encoding that text gives the ids back (null without a tokenizer)
      causal LM:
        token_logprobs   log-prob of each token but the first, given those before it
        sum_logprob      their sum
      reward model (num_labels = 1):
        score            the score at the last token
        score_default    what the model answers to the bare ids: the same unless the ids end with
                         its pad token, which transformers skips

Models are run in float32, one item at a time without padding; log-probs are taken in float64.
The exit status is 1 if weights are missing or have another shape (transformers would go on with
random ones), else 0. --no-tokenizer checks a folder that has none.

With --score, ROWS.jsonl has a prompt and a completion on each line and SCORES.csv one line for
each, in the same order: row, prompt_tokens, completion_tokens, logprob_sum, logprob_mean. The two
texts are tokenised apart and joined, without special tokens; a sum may be off by 1e-3 and 1e-4 for
each token. Prints each mismatch and a verdict; the exit status is 1 if there is a mismatch.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    logging,
)


def causal_item(model, ids):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
    lp = torch.log_softmax(logits[:-1].double(), dim=-1)
    lp = lp.gather(-1, torch.tensor(ids[1:], dtype=torch.long).unsqueeze(-1)).squeeze(-1)
    return {"token_logprobs": lp.tolist(), "sum_logprob": float(lp.sum())}


def reward_item(model, ids):
    pad = model.config.pad_token_id
    x = torch.tensor([ids])
    with torch.no_grad():
        default = float(model(input_ids=x).logits[0, 0])
        model.config.pad_token_id = None
        score = float(model(input_ids=x).logits[0, 0])
        model.config.pad_token_id = pad
    return {"score": score, "score_default": default}


def score_mismatches(model, tok, rows, scores):
    if len(rows) != len(scores):
        yield f"{len(rows)} rows, but {len(scores)} scores"
        return
    for i, (row, score) in enumerate(zip(rows, scores)):
        at = f"row {score['row']}"
        if int(score["row"]) != int(scores[0]["row"]) + i:
            yield f"{at}: rows are not counted one by one"
        prompt, completion = (
            tok(row[k], add_special_tokens=False)["input_ids"] for k in ("prompt", "completion"))
        if not prompt or not completion:
            yield f"{at}: nothing to compare, the prompt or the completion has no tokens"
            continue
        counts = (len(prompt), len(completion))
        theirs = (int(score["prompt_tokens"]), int(score["completion_tokens"]))
        if counts != theirs:
            yield f"{at}: {counts} prompt and completion tokens, scored {theirs}"
            continue
        logprobs = causal_item(model, prompt + completion)["token_logprobs"][len(prompt) - 1:]
        total, allowed = sum(logprobs), 1e-3 + 1e-4 * len(completion)
        for name, ours, within in [("logprob_sum", total, allowed),
                                   ("logprob_mean", total / counts[1], allowed / counts[1])]:
            # "not <=" so that a NaN is a mismatch.
            if not abs(ours - float(score[name])) <= within:
                yield f"{at}: {name} {ours:.6f}, scored {score[name]} (allowed: {within:.1e})"


def check_scores(model, tok, rows_path, scores_path):
    with open(rows_path, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f if line.strip()]
    with open(scores_path, encoding="utf-8", newline="") as f:
        scores = list(csv.DictReader(f))
    if not rows:
        sys.exit("no rows to compare")
    bad = list(score_mismatches(model, tok, rows, scores))
    for line in bad:
        print(line)
    print(f"MISMATCH: {len(bad)}, in {len(rows)} rows" if bad else f"AGREE: {len(rows)} rows")
    return 1 if bad else 0


def main():
    ap = argparse.ArgumentParser(description="Score token ids with an exported model folder.")
    ap.add_argument("folder")
    ap.add_argument("items", nargs="?", help="JSON list of token-id lists or strings, or @FILE")
    ap.add_argument("--reward", action="store_true")
    ap.add_argument("--no-tokenizer", action="store_true")
    ap.add_argument("--score", metavar="SCORES.csv", help="compare these scores of --rows")
    ap.add_argument("--rows", metavar="ROWS.jsonl")
    args = ap.parse_args()
    if bool(args.score) != bool(args.rows) or bool(args.score) == bool(args.items):
        ap.error("either items, or --score and --rows")
    if args.score and (args.reward or args.no_tokenizer):
        ap.error("--score needs a language model and its tokenizer")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)

    source = args.items
    items = []
    if source:
        items = json.loads(Path(source[1:]).read_text() if source.startswith("@") else source)
    tok = None
    if not args.no_tokenizer:
        tok = AutoTokenizer.from_pretrained(args.folder, local_files_only=True)
    auto = AutoModelForSequenceClassification if args.reward else AutoModelForCausalLM
    model, info = auto.from_pretrained(
        args.folder, local_files_only=True, torch_dtype=torch.float32, output_loading_info=True
    )
    model.eval()
    if args.reward and model.config.num_labels != 1:
        sys.exit(f"a reward model has num_labels 1, this one {model.config.num_labels}")
    if args.score:
        if info["missing_keys"] or info["mismatched_keys"]:
            sys.exit("MISMATCH: weights are missing or have another shape")
        return check_scores(model, tok, args.rows, args.score)

    out = []
    for item in items:
        if isinstance(item, str):
            if tok is None:
                sys.exit("a string needs the tokenizer")
            ids = tok(item, add_special_tokens=False)["input_ids"]
        else:
            ids = item
        if not ids:
            sys.exit("an item without tokens")
        text = again = None
        if tok is not None:
            text = tok.decode(ids, clean_up_tokenization_spaces=False)
            again = tok(text, add_special_tokens=False)["input_ids"] == ids
        row = {"ids": ids, "text": text, "round_trip": again}
        row.update(reward_item(model, ids) if args.reward else causal_item(model, ids))
        out.append(row)

    missing, mismatched = list(info["missing_keys"]), list(info["mismatched_keys"])
    print(json.dumps({
        "kind": "reward" if args.reward else "causal-lm",
        "model_class": type(model).__name__,
        "tokenizer_class": type(tok).__name__ if tok else None,
        "vocab_size": model.config.vocab_size,
        "tokenizer_size": len(tok) if tok else None,
        "dtype": str(model.dtype).removeprefix("torch."),
        "missing_keys": sorted(missing),
        "unexpected_keys": sorted(info["unexpected_keys"]),
        "mismatched_keys": [str(m) for m in mismatched],
        "items": out,
    }, indent=1))
    return 1 if missing or mismatched else 0


if __name__ == "__main__":
    sys.exit(main())
