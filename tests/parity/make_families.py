#!/usr/bin/env python3
"""Make a tiny random model of every supported family, with what transformers computes from it.

How to run it (under a minute on a CPU; nothing is fetched; packages: requirements.txt):

    .venv/bin/python tests/parity/make_families.py            # writes families/ beside this file
    .venv/bin/python tests/parity/make_families.py --out DIR  # writes DIR/families/
    .venv/bin/python tests/parity/make_families.py --check    # compares, writes nothing
    .venv/bin/python tests/parity/make_families.py --reload   # reads the folders there are with
                                                              # whichever transformers is installed

What it makes, in families/NAME/: config.json, the weights and, where transformers writes it,
generation_config.json, as transformers saves them; and expected.json:

    about, made_with, family (the model_type), dtype (of the stored weights)
    kind         "causal-lm" or "sequence-classifier"
    sequences    (LM) {"ids", "logprobs"}: logprobs[t] is the log-prob of ids[t+1] given ids[..=t]
    greedy       (LM) {"prompt", "continuation", "least_margin"}: 12 tokens, each the argmax after
                 those before; least_margin is the least gap of the best to the second-best logit
    inputs       (classifier) {"ids"}, and logits: one list for each, and labels: their names
    same_as, edited
                 (copies) the model that a folder copies, and what was edited by hand in it: the
                 same numbers are expected.  needs_transformers: 5 where version 4 cannot read it

Models run in float32 on the weights as stored (rounded, if stored in half precision), one row at
a time without padding; log-probs are taken in float64.  That right-padded batches give the same is
asserted here, and that every parameter has a say in the result.  Numbers as in make_fixtures.py.
"""

import argparse
import filecmp
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    logging,
)

from families_table import CAUSAL, CLASSIFIERS, COPIES, DTYPES, NEEDS_5, SHARDED
from make_fixtures import HERE, differences, dump, flat, made_with, next_token_log_probs, normals

SEQUENCE_LENGTHS = [2, 5, 11, 20]
PROMPT_LENGTHS = [1, 4, 9]
INPUT_LENGTHS = [1, 6, 13, 20]
GREEDY_STEPS = 12
MIN_MARGIN = 1e-2
MIN_DISTINCT = 4  # a continuation that only repeats itself would test little
TOLERANCE = 1e-4  # between two ways to the same float32 result

# ---------------------------------------------------------------- making one


def auto_class(name):
    return AutoModelForCausalLM if name in CAUSAL else AutoModelForSequenceClassification


def randomize(model, rng):
    """Spread every parameter: gains around 1, biases off 0, matrices by their fan-in."""
    done = set()  # a tied head is the embedding once more
    with torch.no_grad():
        for module_name, module in model.named_modules():
            for name, p in module.named_parameters(recurse=False):
                if id(p) in done:
                    continue
                done.add(id(p))
                if isinstance(module, torch.nn.Embedding):
                    # Positions outweigh tokens: a tied head then repeats itself less.
                    std = 0.9 if "position" in module_name or module_name.endswith("wpe") else 0.5
                    p.copy_(normals(rng, p.shape, std))
                elif p.ndim == 1:
                    gain = name == "weight"
                    p.copy_(normals(rng, p.shape, 0.2 if gain else 0.3, 1.0 if gain else 0.0))
                else:
                    fan_in = p.shape[1 if isinstance(module, torch.nn.Linear) else 0]
                    head = module_name in ("lm_head", "embed_out")
                    p.copy_(normals(rng, p.shape, (2.5 if head else 1.5) / fan_in**0.5))


def load(folder, auto):
    model, info = auto.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, attn_implementation="eager",
        output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"], (folder, info)
    return model.eval()


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


def log_probs(model, ids):
    return next_token_log_probs(logits_of(model, ids), torch.tensor(ids), len(ids))


def continue_greedily(model, prompt):
    ids, least = list(prompt), float("inf")
    for _ in range(GREEDY_STEPS):
        top = logits_of(model, ids)[-1].double().topk(2)
        least = min(least, float(top.values[0] - top.values[1]))
        ids.append(int(top.indices[0]))
    return ids[len(prompt):], least


def choose_greedy(model, rng, length):
    for _ in range(400):
        prompt = [rng.randrange(model.config.vocab_size) for _ in range(length)]
        tokens, least = continue_greedily(model, prompt)
        # No end token, so that stopping rules do not matter.
        if (least >= MIN_MARGIN and len(set(tokens)) >= MIN_DISTINCT
                and model.config.eos_token_id not in tokens):
            return {"prompt": prompt, "continuation": tokens, "least_margin": least}
    raise SystemExit(f"no good prompt of {length} tokens for {model.config.model_type}")


def check_padding(model, rows, causal):
    """A right-padded batch gives what each row gives alone."""
    pad = model.config.pad_token_id or 0
    width = max(map(len, rows))
    ids = torch.tensor([r + [pad] * (width - len(r)) for r in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
    with torch.no_grad():
        together = model(input_ids=ids, attention_mask=mask).logits
    for row, got in zip(rows, together):
        got = got[: len(row)] if causal else got
        assert (got - logits_of(model, row)).abs().max() < TOLERANCE, "padding matters"


def check_parameters(model, ids):
    """Every parameter has a gradient; a key's bias cancels in softmax unless it is rotated."""
    model.zero_grad()
    logits = model(input_ids=torch.tensor([ids])).logits[0]
    (torch.log_softmax(logits[:-1], -1)[range(len(ids) - 1), ids[1:]].sum()
     if logits.ndim == 2 else logits @ torch.arange(1.0, 1 + len(logits))).backward()
    for name, p in model.named_parameters():
        cancels = name.endswith(("key.bias", "k_lin.bias"))
        assert cancels or p.grad.abs().max() > 1e-2, (name, float(p.grad.abs().max()))


def expected_causal(model, rng):
    vocab = model.config.vocab_size
    rows = [[rng.randrange(vocab) for _ in range(n)] for n in SEQUENCE_LENGTHS]
    top = torch.softmax(logits_of(model, rows[-1]), -1).max(-1).values.mean()
    assert 5 / vocab < top < 0.9, float(top)  # neither uniform nor certain
    check_padding(model, rows, True)
    check_parameters(model, rows[-1])
    return {
        "sequences": [{"ids": r, "logprobs": flat(log_probs(model, r))} for r in rows],
        "greedy": [choose_greedy(model, rng, n) for n in PROMPT_LENGTHS],
    }


def expected_classifier(model, rng):
    # No padding token inside: roberta counts positions without it, a score head ends before it.
    tokens = [t for t in range(model.config.vocab_size) if t != model.config.pad_token_id]
    rows = [[rng.choice(tokens) for _ in range(n)] for n in INPUT_LENGTHS]
    check_padding(model, rows, False)
    check_parameters(model, rows[-1])
    return {
        "inputs": [{"ids": r} for r in rows],
        "logits": [flat(logits_of(model, r)) for r in rows],
        "labels": [model.config.id2label[i] for i in range(model.config.num_labels)],
    }


def make_model(folder, name, causal):
    rng = random.Random(f"families/{name}")
    family, settings = (CAUSAL if causal else CLASSIFIERS)[name]
    auto, dtype = auto_class(name), DTYPES.get(name, torch.float32)
    model = auto.from_config(AutoConfig.for_model(family, **settings))
    randomize(model, rng)
    model.to(dtype)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    shard = size * 3 // 5 if name in SHARDED else size * 2
    model.save_pretrained(folder, max_shard_size=shard, safe_serialization=True)
    for path in folder.iterdir():
        path.chmod(0o644)
    assert len(list(folder.glob("*.safetensors"))) == (2 if name in SHARDED else 1), name
    model = load(folder, auto)
    return {
        "about": "Tiny random model; see make_families.py for what the keys mean.",
        "made_with": made_with(),
        "family": family,
        "kind": "causal-lm" if causal else "sequence-classifier",
        "dtype": str(dtype).removeprefix("torch."),
        **(expected_causal if causal else expected_classifier)(model, rng),
    }


def make_copy(folder, name, families):
    source, out, put, tensors, what = COPIES[name]
    shutil.copytree(families / source, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    config = {k: v for k, v in config.items() if k not in out} | put
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    if tensors is not None:
        path = folder / "model.safetensors"
        save_file(tensors(load_file(path)), path, metadata={"format": "pt"})
        path.chmod(0o644)
    needs = {"needs_transformers": 5} if name in NEEDS_5 else {}
    expected = json.loads((folder / "expected.json").read_text())
    return expected | {"same_as": source, "edited": what} | needs


# ---------------------------------------------------------------- main


def write(families):
    for name in [*CAUSAL, *CLASSIFIERS, *COPIES]:
        folder = families / name
        folder.mkdir(parents=True, exist_ok=True)
        if name in COPIES:
            value = make_copy(folder, name, families)
        else:
            value = make_model(folder, name, name in CAUSAL)
        (folder / "expected.json").write_text(dump(value) + "\n")


def reload(families):
    """Differences of what the installed transformers computes from the folders there are."""
    for name in [*CAUSAL, *CLASSIFIERS, *COPIES]:
        old = json.loads((families / name / "expected.json").read_text())
        if old.get("needs_transformers", 0) > int(transformers.__version__.split(".")[0]):
            print(f"{name}: skipped, needs a newer transformers")
            continue
        model = load(families / name, auto_class(COPIES[name][0] if name in COPIES else name))
        for i, row in enumerate(old.get("sequences", [])):
            yield from differences(row["logprobs"], flat(log_probs(model, row["ids"])),
                                   f"{name}/sequences/{i}")
        for i, row in enumerate(old.get("greedy", [])):
            yield from differences(row["continuation"], continue_greedily(model, row["prompt"])[0],
                                   f"{name}/greedy/{i}")
        for i, row in enumerate(old.get("inputs", [])):
            yield from differences(old["logits"][i], flat(logits_of(model, row["ids"])),
                                   f"{name}/inputs/{i}")


def check(families):
    """Differences of the folders there are from newly made ones."""
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        write(tmp)
        names = sorted({p.relative_to(base) for base in (families, tmp)
                        for p in base.rglob("*") if p.is_file()})
        for name in names:
            if not ((families / name).is_file() and (tmp / name).is_file()):
                yield f"{name}: only on one side"
            elif name.suffix == ".json":
                yield from differences(json.loads((families / name).read_text()),
                                       json.loads((tmp / name).read_text()), str(name))
            elif not filecmp.cmp(families / name, tmp / name, shallow=False):
                yield f"{name}: other bytes"


def main():
    ap = argparse.ArgumentParser(description="Make tiny models of every supported family.")
    ap.add_argument("--out", type=Path, default=HERE)
    ap.add_argument("--check", action="store_true",
                    help="make them in a temporary folder and compare with --out")
    ap.add_argument("--reload", action="store_true",
                    help="read those in --out with the installed transformers and compare")
    args = ap.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    families = args.out / "families"
    if not (args.check or args.reload):
        write(families)
        return 0
    bad = list((check if args.check else reload)(families))
    print("\n".join(bad) if bad else "fixtures agree")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
