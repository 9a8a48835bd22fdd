"""dpo-lab against TRL's DPOTrainer on the same weights, pairs and batch sizes, turn by turn on one machine.

    python -m venv venv && venv/bin/pip install -r benches/peer/requirements.txt
    cargo build --release
    venv/bin/python benches/peer/trl_pairs.py --pairs PAIRS.jsonl.gz --tokenizer tokenizer.json

PAIRS has "chosen" and "rejected" dialogues that share everything up to their last "Assistant:" (Anthropic's HH). A GPT-2 with
random weights is saved once and opened by both sides; TRL tokenises the pairs, and dpo-lab reads those very ids. Every
measurement is a process of its own. Only tokens that are no padding count.
"""

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Width, blocks, heads, context, pairs of a batch, longest sequence, steps, steps that warm up.
SETTINGS = {
    "width 128, 4 blocks": (128, 4, 4, 256, 16, 128, 5, 1),
    "GPT-2 small": (768, 12, 12, 1024, 4, 256, 4, 1),
}
MARK = "\n\nAssistant:"


def read_pairs(path: Path, count: int) -> list[dict]:
    pairs = []
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            (prompt, chosen), (other, rejected) = (row[side].rsplit(MARK, 1) for side in ("chosen", "rejected"))
            if prompt == other and chosen != rejected:
                pairs.append({"prompt": prompt + MARK, "chosen": chosen, "rejected": rejected})
            if len(pairs) == count:
                return pairs
    sys.exit(f"{path} has only {len(pairs)} pairs of the {count} that are needed")


def build(setting: str, tokenizer_file: Path, folder: Path):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    width, blocks, heads, context, *_ = SETTINGS[setting]
    end = "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file), eos_token=end, bos_token=end, pad_token=end)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=width, n_layer=blocks, n_head=heads, n_positions=context,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def trl_side(setting: str, folder: Path, pairs: Path, threads: int, precompute: bool, ids: Path | None) -> dict:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    torch.set_num_threads(threads)
    *_, batch, longest, steps, warm_up = SETTINGS[setting]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    times, tokens = [], []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.began = time.perf_counter()

        def on_step_end(self, *_, **__):
            times.append(time.perf_counter() - self.began)

    with tempfile.TemporaryDirectory() as out:
        config = DPOConfig(
            output_dir=out, per_device_train_batch_size=batch, max_steps=steps, max_length=longest, beta=0.1,
            learning_rate=1e-4, lr_scheduler_type="constant", weight_decay=0.01, max_grad_norm=10.0, use_cpu=True, bf16=False,
            gradient_checkpointing=False, precompute_ref_log_probs=precompute, save_strategy="no", report_to=[],
            logging_steps=1, disable_tqdm=True, dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = DPOTrainer(
            model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[Clock()]
        )
        if ids:
            kept = ("prompt_ids", "chosen_ids", "rejected_ids")
            with ids.open("w") as file:
                for row in trainer.train_dataset:
                    prompt = row["prompt_ids"][: longest - 1]
                    cut = {"prompt_ids": prompt} | {key: row[key][: longest - len(prompt)] for key in kept[1:]}
                    file.write(json.dumps(cut) + "\n")
            return {}
        plain = trainer.data_collator

        def counting(examples):
            found = plain(examples)
            tokens.append(int(found["attention_mask"].sum()))
            return found

        trainer.data_collator = counting
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "seconds": statistics.median(times[warm_up:]),
        "tokens_per_s": sum(tokens[warm_up:steps]) / sum(times[warm_up:]),
        "first_loss": losses[0],
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def ours(binary: str, setting: str, folder: Path, ids: Path, threads: int) -> dict:
    *_, batch, _, steps, _ = SETTINGS[setting]
    # Three times over the same batches: the first few steps are still asking the system for memory.
    command = [binary, "bench", "--model", folder, "--pairs", ids, "--batch", batch, "--steps", 3 * steps, "--only", "training", "--json"]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    found = subprocess.run(list(map(str, command)), check=True, capture_output=True, env=environment)
    return json.loads(found.stdout)["training"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/dpo-lab")
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--setting", choices=SETTINGS, action="append")
    parser.add_argument("--side", choices=["ids", "plain", "precomputed"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        ids = arguments.folder / "ids.jsonl" if arguments.side == "ids" else None
        setting, precompute = arguments.setting[0], arguments.side == "precomputed"
        found = trl_side(setting, arguments.folder, arguments.pairs, arguments.threads, precompute, ids)
        print("\n" + json.dumps(found))
        return
    print("| model and batch | dpo-lab | TRL | TRL, reference precomputed | times TRL's better (all rounds) | memory |")
    print("|---|---|---|---|---|---|")
    for setting in arguments.setting or SETTINGS:
        *_, batch, longest, steps, _ = SETTINGS[setting]
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            build(setting, arguments.tokenizer, folder)
            pairs = folder / "pairs.jsonl"
            rows = read_pairs(arguments.pairs, batch * steps)
            pairs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

            def theirs(side: str) -> dict:
                command = [sys.executable, __file__, "--side", side, "--folder", folder, "--pairs", pairs, "--setting", setting]
                command += ["--threads", arguments.threads]
                environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
                found = subprocess.run(list(map(str, command)), capture_output=True, env=environment, text=True)
                if found.returncode:
                    sys.exit(found.stderr)
                return json.loads(found.stdout.splitlines()[-1])

            theirs("ids")
            rounds = [
                (ours(arguments.binary, setting, folder, folder / "ids.jsonl", arguments.threads), theirs("plain"), theirs("precomputed"))
                for _ in range(arguments.rounds)
            ]
        show = lambda side: (
            f"{statistics.median(one[side].get('step_s', one[side].get('seconds')) for one in rounds):.2f} s, "
            f"{statistics.median(one[side]['tokens_per_s'] for one in rounds):.0f} tokens/s"
        )
        memory = [statistics.median(one[side]["peak_memory"] for one in rounds) / 2**20 for side in range(3)]
        ratios = sorted(one[0]["tokens_per_s"] / max(one[1]["tokens_per_s"], one[2]["tokens_per_s"]) for one in rounds)
        print(
            f"| {setting}, {batch} pairs of up to {longest} tokens | {show(0)} | {show(1)} | {show(2)} "
            f"| {statistics.median(ratios):.1f} ({ratios[0]:.1f}-{ratios[-1]:.1f}) "
            f"| {memory[0]:.0f} / {memory[1]:.0f} / {memory[2]:.0f} MiB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
