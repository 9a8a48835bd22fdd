"""What PyTorch, transformers and TRL do with the shapes of tests/gpu/check.sh. Prints JSON.

    peer.py train --how default|best|compile --model NAME --sequences N --tokens N --steps N
    peer.py generate --model NAME --rows N
    peer.py products --shapes FILE

Models have random weights. "default" is TRL as it comes, but for the batch; "best" keeps what fits and precomputes the
reference; "compile" is that with torch.compile.
"""

import argparse
import json
import statistics
import tempfile
import time

import torch

MODELS = {
    "bench-tiny": ("gpt2", dict(n_embd=128, n_layer=4, n_head=4, n_positions=256, vocab_size=2048)),
    "gpt2-small": ("gpt2", dict(n_embd=768, n_layer=12, n_head=12, n_positions=1024, vocab_size=50257)),
    "gpt2-large": ("gpt2", dict(n_embd=1280, n_layer=36, n_head=20, n_positions=1024, vocab_size=50257)),
    "pythia-2.8b": (
        "gpt_neox",
        dict(
            hidden_size=2560, num_hidden_layers=32, num_attention_heads=32, intermediate_size=10240,
            max_position_embeddings=2048, vocab_size=50304, rotary_pct=0.25,
        ),
    ),
}  # fmt: skip
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def build(name: str, dtype: torch.dtype):
    from transformers import AutoConfig, AutoModelForCausalLM

    family, sizes = MODELS[name]
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **sizes, bos_token_id=0, eos_token_id=0)
    with torch.device(DEVICE):
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")


def peak() -> int | None:
    return torch.cuda.max_memory_reserved() if DEVICE == "cuda" else None


def wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def train(arguments: argparse.Namespace) -> dict:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from tokenizers import Tokenizer, models, pre_tokenizers
    from trl import DPOConfig, DPOTrainer

    pairs, tokens = arguments.sequences // 2, arguments.tokens
    vocabulary = MODELS[arguments.model][1]["vocab_size"]
    words = Tokenizer(models.WordLevel({f"w{index}": index for index in range(vocabulary)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w0", pad_token="w0", bos_token="w0")
    generator = torch.Generator().manual_seed(0)
    draw = lambda count: "".join(f" w{index}" for index in torch.randint(1, vocabulary, (count,), generator=generator).tolist())
    # The trainer ends each side with a token of its own.
    prompt, rest = tokens // 4, tokens - tokens // 4 - 1
    rows = [{"prompt": draw(prompt), "chosen": draw(rest), "rejected": draw(rest)} for _ in range(pairs * arguments.steps)]
    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            wait()
            self.began = time.perf_counter()

        def on_step_end(self, *_, **__):
            wait()
            times.append(time.perf_counter() - self.began)

    best = {} if arguments.how == "default" else dict(
        gradient_checkpointing=arguments.model == "pythia-2.8b", precompute_ref_log_probs=True, optim="adamw_torch_fused",
        torch_compile=arguments.how == "compile",
    )  # fmt: skip
    if DEVICE == "cpu":
        best |= dict(use_cpu=True, bf16=False, dataloader_pin_memory=False)
    with tempfile.TemporaryDirectory() as out:
        config = DPOConfig(
            output_dir=out, per_device_train_batch_size=pairs, max_steps=arguments.steps, max_length=tokens, beta=0.1,
            learning_rate=1e-6, save_strategy="no", report_to=[], logging_steps=arguments.steps, disable_tqdm=True, **best,
        )  # fmt: skip
        # It would load the reference from a folder, and these weights have none.
        reference = None if best.get("precompute_ref_log_probs") else build(arguments.model, torch.float32)
        trainer = DPOTrainer(
            model=build(arguments.model, torch.float32), ref_model=reference, args=config, train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer, callbacks=[Clock()],
        )  # fmt: skip
        trainer.train()
    kept = times[min(3, len(times) // 3) :]
    total = 2 * pairs * tokens
    return {
        "how": arguments.how, "step_s": statistics.median(kept), "tokens_per_s": total / statistics.median(kept), "peak_memory": peak(),
        "settings": {key: getattr(config, key) for key in ("bf16", "gradient_checkpointing", "precompute_ref_log_probs", "torch_compile")},
        "optim": str(config.optim.value),
    }  # fmt: skip


def generate(arguments: argparse.Namespace) -> dict:
    model = build(arguments.model, torch.bfloat16 if DEVICE == "cuda" else torch.float32).eval()
    context = getattr(model.config, "max_position_embeddings")
    new = min(context // 2, 64)
    prompt = min(context - new, 32)
    ids = torch.randint(1, model.config.vocab_size, (arguments.rows, prompt), device=DEVICE)
    times, rates = [], []
    for _ in range(5):
        wait()
        began = time.perf_counter()
        with torch.inference_mode():
            drawn = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=new, pad_token_id=0, eos_token_id=0
            )
        wait()
        times.append(time.perf_counter() - began)
        ended = (drawn[:, prompt:] == 0).cumsum(1) > 0
        rates.append(int((~ended).sum() + ended.any(1).sum()) / times[-1])
    return {"seconds": statistics.median(times[1:]), "tokens_per_s": statistics.median(rates[1:]), "peak_memory": peak()}


def products(arguments: argparse.Namespace) -> dict:
    with open(arguments.shapes, encoding="utf-8") as file:
        shapes = [(one["what"], one["shape"]) for one in json.load(file)["products"]]
    found = []
    for what, (m, k, n) in shapes:
        left, right = (torch.rand(rows, columns, device=DEVICE, dtype=torch.bfloat16) for rows, columns in ((m, k), (k, n)))
        times = []
        for _ in range(8):
            wait()
            began = time.perf_counter()
            for _ in range(10):
                left @ right
            wait()
            times.append((time.perf_counter() - began) / 10)
        seconds = statistics.median(times[2:])
        found.append({"what": what, "shape": [m, k, n], "seconds": seconds, "flops": 2 * m * k * n / seconds})
    return {"products": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "generate", "products"])
    parser.add_argument("--how", choices=["default", "best", "compile"], default="default")
    parser.add_argument("--model", choices=MODELS, default="gpt2-small")
    for name, value in (("sequences", 8), ("tokens", 128), ("steps", 12), ("rows", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--shapes")
    arguments = parser.parse_args()
    print("\n" + json.dumps({"train": train, "generate": generate, "products": products}[arguments.what](arguments)))


if __name__ == "__main__":
    main()
