"""dpo-lab against PyTorch on the same model and batch, turn by turn on one machine.

    python -m venv venv && venv/bin/pip install -r benches/peer/requirements.txt
    cargo build --release && venv/bin/python benches/peer/compare.py --threads 2

Every measurement is a process of its own, so that its peak memory is its own; the two sides take turns, and the table shows
medians and their ratio. The PyTorch side is a GPT-2 as one would write it by hand: F.linear, F.layer_norm, attention by matrix products
in training ("eager") and by scaled_dot_product_attention over a preallocated cache in sampling. Sampling is also compared with
`transformers.generate`.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

# Width, blocks, heads, context, vocabulary, sequences, tokens: as in src/bench/subject.rs.
SIZES = {
    "bench-tiny": (128, 4, 4, 256, 2048, 32, 64),
    "gpt2-small": (768, 12, 12, 1024, 50257, 4, 128),
}
STEPS = {"bench-tiny": 20, "gpt2-small": 8}


def torch_side(what: str, size: str, threads: int, attention: str) -> dict:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    width, blocks, heads, context, vocabulary, sequences, tokens = SIZES[size]
    head = width // heads

    def weights(*shape, scale=0.02):
        return (torch.randn(*shape) * scale).requires_grad_()

    def norm():
        return torch.ones(width, requires_grad=True), torch.zeros(width, requires_grad=True)

    def affine(rows, columns):
        return weights(rows, columns), torch.zeros(rows, requires_grad=True)

    words, positions, last = weights(vocabulary, width), weights(context, width), norm()
    layers = [
        (norm(), affine(3 * width, width), affine(width, width), norm(), affine(4 * width, width), affine(width, 4 * width))
        for _ in range(blocks)
    ]
    every = [words, positions, *last] + [weight for layer in layers for pair in layer for weight in pair]
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)

    def attend(q, k, v):
        if attention == "sdpa":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        scores = (q * head**-0.5) @ k.transpose(-1, -2)
        return scores.masked_fill(future, -torch.inf).softmax(-1) @ v

    def body(x, how):
        rows, length, _ = x.shape
        for index, (norm1, qkv, out, norm2, wide, narrow) in enumerate(layers):
            parts = F.linear(F.layer_norm(x, (width,), *norm1), *qkv).view(rows, length, 3, heads, head).permute(2, 0, 3, 1, 4)
            mixed = how(index, *parts).transpose(1, 2).reshape(rows, length, width)
            x = x + F.linear(mixed, *out)
            x = x + F.linear(F.gelu(F.linear(F.layer_norm(x, (width,), *norm2), *wide), approximate="tanh"), *narrow)
        return F.layer_norm(x, (width,), *last)

    times, rates = [], []
    if what == "training":
        ids = torch.randint(vocabulary, (sequences, tokens + 1))
        mask = (torch.arange(tokens) >= tokens // 4).float()
        optimizer = torch.optim.AdamW(every, lr=1e-4, weight_decay=0.01)
        reference = None
        for _ in range(STEPS[size]):
            began = time.perf_counter()
            hidden = body(words[ids[:, :-1]] + positions[:tokens], lambda _, q, k, v: attend(q, k, v))
            log_probs = (hidden @ words.T).log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)
            sums = (log_probs * mask).sum(1)
            reference = sums.detach() if reference is None else reference
            margins = sums - reference
            half = sequences // 2
            loss = -F.logsigmoid(0.1 * (margins[:half] - margins[half:])).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(every, 10.0)
            optimizer.step()
            loss.item()
            times.append(time.perf_counter() - began)
        rates = [sequences * (tokens + 1) / seconds for seconds in times]
    else:
        rows, new = 16, 64
        prompt = 32
        with torch.inference_mode():
            for _ in range(5):
                began = time.perf_counter()
                caches = [torch.zeros(2, rows, heads, prompt + new, head) for _ in layers]
                ids, filled = torch.randint(vocabulary, (rows, prompt)), 0

                def cached(index, q, k, v):
                    cache, length = caches[index], k.shape[2]
                    cache[0, :, :, filled : filled + length] = k
                    cache[1, :, :, filled : filled + length] = v
                    k, v = cache[:, :, :, : filled + length]
                    return F.scaled_dot_product_attention(q, k, v, is_causal=length > 1)

                for _ in range(new):
                    hidden = body(words[ids] + positions[filled : filled + ids.shape[1]], cached)
                    filled += ids.shape[1]
                    ids = torch.multinomial((hidden[:, -1] @ words.T).softmax(-1), 1)
                times.append(time.perf_counter() - began)
        rates = [rows * new / seconds for seconds in times]
    kept = slice(min(3, len(times) // 3), None)
    return {
        "seconds": statistics.median(times[kept]),
        "tokens_per_s": statistics.median(rates[kept]),
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def transformers_side(size: str, threads: int) -> dict:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    width, blocks, heads, context, vocabulary, *_ = SIZES[size]
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=vocabulary, n_embd=width, n_layer=blocks, n_head=heads, n_positions=context)
    ).eval()
    ids = torch.randint(1, vocabulary, (16, 32))
    times, rates = [], []
    for _ in range(5):
        began = time.perf_counter()
        with torch.inference_mode():
            drawn = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=64, pad_token_id=0, eos_token_id=0
            )
        times.append(time.perf_counter() - began)
        new = drawn[:, 32:]
        ended = (new == 0).cumsum(1) > 0
        rates.append(int((~ended).sum() + ended.any(1).sum()) / times[-1])
    return {
        "seconds": statistics.median(times[1:]),
        "tokens_per_s": statistics.median(rates[1:]),
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def ours(binary: str, what: str, size: str, threads: int) -> dict:
    command = [binary, "bench", "--model", size, "--only", what, "--steps", str(STEPS[size]), "--json"]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    found = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)[what]
    return {"seconds": found.get("step_s", found.get("seconds")), **{k: found[k] for k in ("tokens_per_s", "peak_memory")}}


def theirs(what: str, size: str, threads: int, attention: str) -> dict:
    command = [sys.executable, __file__, "--torch", what, "--size", size, "--threads", str(threads), "--attention", attention]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/dpo-lab")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", choices=SIZES, action="append")
    parser.add_argument("--attention", choices=["eager", "sdpa"], default="eager", help="PyTorch's attention in training")
    parser.add_argument("--torch", choices=["training", "generation", "generate"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch == "generate":
        print(json.dumps(transformers_side(arguments.size[0], arguments.threads)))
        return
    if arguments.torch:
        print(json.dumps(torch_side(arguments.torch, arguments.size[0], arguments.threads, arguments.attention)))
        return
    print("| model | part | dpo-lab | peer | time ratio (all rounds) | memory |")
    print("|---|---|---|---|---|---|")
    for size in arguments.size or SIZES:
        for what, peer in (("training", "training"), ("generation", "generation"), ("generation", "generate")):
            mine = lambda: ours(arguments.binary, what, size, arguments.threads)
            pairs = [(mine(), theirs(peer, size, arguments.threads, arguments.attention)) for _ in range(arguments.rounds)]
            name = {"generate": "transformers.generate"}.get(peer, "PyTorch")
            median = lambda side, key: statistics.median(pair[side][key] for pair in pairs)
            # Tokens, not batches: sampling may end early.
            ratios = sorted(their["tokens_per_s"] / our["tokens_per_s"] for our, their in pairs)
            print(
                f"| {size} | {what} | {median(0, 'seconds') * 1e3:.1f} ms, {median(0, 'tokens_per_s'):.0f} tokens/s "
                f"| {name} {median(1, 'seconds') * 1e3:.1f} ms, {median(1, 'tokens_per_s'):.0f} tokens/s "
                f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) "
                f"| {median(0, 'peak_memory') / 2**20:.0f} / {median(1, 'peak_memory') / 2**20:.0f} MiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
