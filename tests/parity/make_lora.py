#!/usr/bin/env python3
"""Make LoRA adapters with PEFT on tiny models of families/, with the log-probs that PEFT computes;
or open an adapter that dpo-lab wrote.

How to run it (seconds on a CPU; nothing is fetched; packages: requirements.txt):

    .venv/bin/python tests/parity/make_lora.py            # writes lora/ beside this file
    .venv/bin/python tests/parity/make_lora.py --out DIR  # writes DIR/lora/
    .venv/bin/python tests/parity/make_lora.py --check    # compares, writes nothing
    .venv/bin/python tests/parity/make_lora.py --open ADAPTER --base FOLDER '[[1,2,3],[4,5]]'
    .venv/bin/python tests/parity/make_lora.py --open ADAPTER --base FOLDER --merged MERGED '[[1,2]]'

What it makes, in lora/NAME/ for a model of families/NAME: adapter_config.json and
adapter_model.safetensors as PEFT saves them, with random A and B; and expected.json: made_with,
targets, and sequences of "ids" (those of the model's own expected.json) and "logprobs".

--open prints the log-probs of token ids under FOLDER with the adapter, as check_export.py prints
those of a model; the exit status is 1 if tensors are missing or surplus. With --merged it also says
how far they are from those of another folder, which `dpo-lab export` wrote. Numbers as in
make_fixtures.py.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, logging

from make_fixtures import HERE, differences, dump, flat, made_with, next_token_log_probs, normals

# Model of families/, rank, alpha, targets.
CASES = [
    ("gpt2", 4, 6, ["c_attn", "mlp.c_proj", "c_fc"]),
    ("gpt_neox_parallel", 3, 8, "all-linear"),
    ("llama_grouped", 2, 4, ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]),
]
SPREAD = 0.2  # of A and B


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    return model.eval()


def log_probs(model, ids):
    ids = torch.tensor(ids)
    with torch.no_grad():
        return flat(next_token_log_probs(model(input_ids=ids[None]).logits[0], ids, len(ids)))


def make(folder, name, rank, alpha, targets):
    own = json.loads((HERE / "families" / name / "expected.json").read_text())
    model = load(HERE / "families" / name)
    for s in own["sequences"]:
        assert not list(differences(s["logprobs"], log_probs(model, s["ids"]))), name
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=targets, lora_dropout=0.0, task_type="CAUSAL_LM",
        fan_in_fan_out=own["family"] == "gpt2")
    model = peft.get_peft_model(model, config).eval()
    rng = random.Random(f"lora {name}")
    with torch.no_grad():
        for p_name, p in sorted(model.named_parameters()):
            if "lora_" in p_name:
                p.copy_(normals(rng, p.shape, SPREAD))
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    (folder / "adapter_model.safetensors").chmod(0o644)
    # PEFT keeps targets as a set, whose order differs from run to run.
    config = json.loads((folder / "adapter_config.json").read_text())
    config["target_modules"] = sorted(config["target_modules"])
    # A path of this machine says nothing.
    config["base_model_name_or_path"] = f"../../families/{name}"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (folder / "expected.json").write_text(dump({
        "about": "An adapter of PEFT; see make_lora.py for what the keys mean.",
        "made_with": {**made_with(), "peft": peft.__version__},
        "targets": targets,
        "sequences": [{"ids": s["ids"], "logprobs": log_probs(model, s["ids"])} for s in own["sequences"]],
    }) + "\n")


def write(folder):
    for name, *case in CASES:
        (folder / "lora" / name).mkdir(parents=True, exist_ok=True)
        make(folder / "lora" / name, name, *case)


def check(folder):
    bad = []
    with tempfile.TemporaryDirectory() as tmp:
        write(Path(tmp))
        for name, *_ in CASES:
            old, new = folder / "lora" / name, Path(tmp) / "lora" / name
            for file in ("adapter_config.json", "expected.json"):
                pair = [json.loads((at / file).read_text()) for at in (old, new)]
                bad += [f"{name}/{file}{d}" for d in differences(*pair)]
            a, b = (load_file(at / "adapter_model.safetensors") for at in (old, new))
            if a.keys() != b.keys() or any(not torch.equal(a[k], b[k]) for k in a):
                bad.append(f"{name}/adapter_model.safetensors: other tensors")
    print("\n".join(bad) if bad else "fixtures agree")
    return 1 if bad else 0


def open_adapter(adapter, base, merged, items):
    model = peft.PeftModel.from_pretrained(load(base), adapter).eval()
    ours = load_file(Path(adapter) / "adapter_model.safetensors")
    theirs = peft.get_peft_model_state_dict(model)
    missing, surplus = sorted(theirs.keys() - ours.keys()), sorted(ours.keys() - theirs.keys())
    plain = load(base)
    rows = [{"ids": ids, "token_logprobs": log_probs(model, ids), "base": log_probs(plain, ids)} for ids in items]
    change = max(abs(a - b) for r in rows for a, b in zip(r["token_logprobs"], r.pop("base")))
    result = {"missing": missing, "surplus": surplus, "modules": len(ours) // 2, "largest_change_by_adapter": change}
    if merged:
        other = load(merged)
        pairs = [(a, b) for r in rows for a, b in zip(r["token_logprobs"], log_probs(other, r["ids"]))]
        result["largest_difference_to_merged"] = max(abs(a - b) for a, b in pairs)
    print(json.dumps({**result, "items": rows}, indent=1))
    return 1 if missing or surplus else 0


def main():
    ap = argparse.ArgumentParser(description="Make dpo-lab's fixtures of LoRA, or open an adapter.")
    ap.add_argument("--out", type=Path, default=HERE)
    ap.add_argument("--check", action="store_true")
    ap.add_argument("--open", metavar="ADAPTER")
    ap.add_argument("--base", metavar="FOLDER")
    ap.add_argument("--merged", metavar="FOLDER")
    ap.add_argument("items", nargs="?", help="with --open: JSON list of token-id lists")
    args = ap.parse_args()
    if bool(args.open) != bool(args.base) or bool(args.open) != bool(args.items):
        ap.error("--open needs --base and token ids")
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    if args.open:
        return open_adapter(args.open, args.base, args.merged, json.loads(args.items))
    if args.check:
        return check(args.out)
    write(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
