#!/usr/bin/env python3
"""Make ppo.json: whole PPO updates of the tiny GPT-2 in gpt2/, by PyTorch from the formulas.

How to run it (a few seconds on a CPU; nothing is fetched; packages: requirements.txt; needs gpt2/):

    .venv/bin/python tests/parity/make_ppo.py            # writes ppo.json beside this file
    .venv/bin/python tests/parity/make_ppo.py --out DIR  # writes DIR/ppo.json
    .venv/bin/python tests/parity/make_ppo.py --check    # compares, writes nothing

The formulas are those of Schulman et al. 2017 (clipped loss), Schulman et al. 2016 (GAE) and
Ziegler et al. 2019 (KL penalty per token, score at the last token, whitened advantages, clipped
value loss).
Models run in float32 on right-padded batches.  From log-probs and values to rewards, advantages
and returns everything is float64; these are narrowed to float32 for the losses.  Numbers as in
make_fixtures.py, and the same done in float64 throughout gives float32_error.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import GPT2LMHeadModel

from make_fixtures import EOS, HERE, VOCAB, differences, dump, flat, made_with, normals

SETTINGS = {
    "kl_coefficient": 0.2,
    "gamma": 0.99,
    "lambda": 0.95,
    "clip": 0.2,
    "value_clip": 0.2,
    "value_coefficient": 0.5,
    "whiten_epsilon": 1e-8,
    "max_grad_norm": 1.0,
}
# (tokens of the prompt, tokens of the completion)
LENGTHS = [(3, 5), (2, 9), (4, 1), (5, 7), (2, 3), (6, 8), (3, 2), (4, 6)]
EPOCHS = [
    [[3, 0, 6, 5], [1, 7, 2, 4]],
    [[4, 1, 5, 0], [2, 6, 3, 7]],
]
OPTIMIZERS = [
    ("adamw", "AdamW", {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}),
    ("rmsprop", "RMSprop",
     {"lr": 0.001, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0}),
]
FIRST = 8
# No token comes closer than this to where a clip begins: rounding then decides no branch.
MIN_DISTANCE = 1e-4

ABOUT = (
    "One PPO step of gpt2/model.safetensors; gpt2/model_b.safetensors is the reference. The value "
    "of a token is head.weight . h + head.bias, with h the state after the final norm at the "
    "position that predicts the token. rollout, per completion token: old_log_probs, values "
    "and reference_log_probs; rewards = -kl_coefficient (old - reference), plus score at the last; "
    "advantages by GAE, with no value after the last token; returns = advantages + values; "
    "whitened = (A - mean) / sqrt(variance + whiten_epsilon) over all tokens of the rollout, "
    "variance with n - 1. updates: a fresh model each; for every minibatch (completions in the "
    "order given, their tokens one after another) what stands before the step: log_probs, values, "
    "losses as means over its tokens, gradients of policy_loss + value_coefficient value_loss with "
    "respect to log_probs and values, grad_norm over all weights and the head before clipping to "
    "max_grad_norm. approx_kl = mean (log ratio)^2 / 2; clip_fraction and value_clip_fraction are "
    "shares of tokens whose clipped branch is strictly larger. weights: after the last step, the "
    "sum, taken in float64, and the first values. The key third of attn.c_attn.bias is left out of "
    "its sum: no output depends on it, so the optimiser follows the rounding of a gradient of 0."
)


# ---------------------------------------------------------------- inputs


def make_completions():
    rng = random.Random(4000)
    completions = []
    for i, (prompt, completion) in enumerate(LENGTHS):
        ids = [rng.randrange(1, VOCAB) for _ in range(prompt + completion)]
        if i % 3:
            ids[-1] = EOS
        completions.append({
            "prompt": ids[:prompt], "completion": ids[prompt:], "score": rng.gauss(0.3, 1.0),
        })
    return completions


class ValueHead(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        rng = random.Random(4001)
        self.weight = torch.nn.Parameter(normals(rng, [width], 0.1))
        self.bias = torch.nn.Parameter(normals(rng, [1], 0.1))

    def forward(self, hidden):
        return hidden @ self.weight + self.bias


def load(file, dtype):
    folder = HERE / "gpt2"
    model = GPT2LMHeadModel.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    missing, unexpected = model.load_state_dict(load_file(folder / file), strict=False)
    assert missing == ["lm_head.weight"] and not unexpected, (missing, unexpected)
    return model.to(dtype).eval()


# ---------------------------------------------------------------- the formulas


def log_probs_and_values(model, head, completions):
    """Of every completion token: its log-prob, and the value; tokens one after another."""
    rows = [c["prompt"] + c["completion"] for c in completions]
    width = max(len(r) for r in rows)
    ids = torch.tensor([r + [EOS] * (width - len(r)) for r in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
    hidden = model.transformer(input_ids=ids, attention_mask=mask).last_hidden_state
    log_probs, values = [], []
    for i, c in enumerate(completions):
        first, last = len(c["prompt"]) - 1, len(rows[i]) - 1
        states = hidden[i, first:last]
        all_log_probs = torch.log_softmax(model.lm_head(states), dim=-1)
        tokens = torch.tensor(c["completion"]).unsqueeze(-1)
        log_probs.append(all_log_probs.gather(-1, tokens).squeeze(-1))
        values.append(head(states))
    return torch.cat(log_probs), torch.cat(values)


def per_completion(tensor):
    return tensor.split([completion for _, completion in LENGTHS])


def advantages_and_returns(rewards, values):
    decay = SETTINGS["gamma"] * SETTINGS["lambda"]
    advantages = torch.zeros_like(rewards)
    ahead, next_value = 0.0, 0.0
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + SETTINGS["gamma"] * next_value - values[t]
        ahead = delta + decay * ahead
        advantages[t] = ahead
        next_value = values[t]
    return advantages, advantages + values


def make_rollout(completions, dtype):
    model, reference = load("model.safetensors", dtype), load("model_b.safetensors", dtype)
    head = ValueHead(16).to(dtype)
    with torch.no_grad():
        old, values = log_probs_and_values(model, head, completions)
        ref, _ = log_probs_and_values(reference, head, completions)
    old, ref, values = old.double(), ref.double(), values.double()
    rewards = -SETTINGS["kl_coefficient"] * (old - ref)
    for part, c in zip(per_completion(rewards), completions):
        part[-1] += c["score"]
    pairs = [
        advantages_and_returns(r, v)
        for r, v in zip(per_completion(rewards), per_completion(values))
    ]
    advantages, returns = (torch.cat(side) for side in zip(*pairs))
    spread = torch.sqrt(advantages.var(correction=1) + SETTINGS["whiten_epsilon"])
    return {
        "old_log_probs": old,
        "reference_log_probs": ref,
        "values": values,
        "rewards": rewards,
        "advantages": advantages,
        "whitened": (advantages - advantages.mean()) / spread,
        "returns": returns,
    }


def losses(log_probs, values, old, old_values, advantages, returns):
    clip, value_clip = SETTINGS["clip"], SETTINGS["value_clip"]
    ratio = torch.exp(log_probs - old)
    free, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)
    near = old_values + (values - old_values).clamp(-value_clip, value_clip)
    policy = torch.maximum(free, clipped).mean()
    value = 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2).mean()
    return policy, value


def statistics(log_probs, values, old, old_values, advantages, returns):
    """In float64, and with the clipped value exactly V where the clip does not bite."""
    clip, value_clip = SETTINGS["clip"], SETTINGS["value_clip"]
    ratio = torch.exp(log_probs - old)
    clipped = -advantages * ratio.clamp(1 - clip, 1 + clip) > -advantages * ratio
    near = torch.minimum(torch.maximum(values, old_values - value_clip), old_values + value_clip)
    value_clipped = (near - returns) ** 2 > (values - returns) ** 2
    for distance, edge in ((ratio - 1, clip), (values - old_values, value_clip)):
        assert float((distance.abs() - edge).abs().min()) > MIN_DISTANCE, "a token sits on an edge"
    return {
        "approx_kl": float(0.5 * ((log_probs - old) ** 2).mean()),
        "clip_fraction": float(clipped.double().mean()),
        "mean_ratio": float(ratio.mean()),
        "value_clip_fraction": float(value_clipped.double().mean()),
    }


# ---------------------------------------------------------------- the updates


def weight_summary(name, value):
    value = value.detach()
    flattened = value.reshape(-1)
    counted = flattened.double()
    if name.endswith("attn.c_attn.bias"):
        query, _, value_part = counted.chunk(3)
        counted = torch.cat([query, value_part])
    return {
        "name": name,
        "shape": list(value.shape),
        "sum": float(counted.sum()),
        "first": flat(flattened[:FIRST]),
    }


def make_update(completions, rollout, kind, settings, dtype):
    model, head = load("model.safetensors", dtype), ValueHead(16).to(dtype)
    parameters = [*model.parameters(), *head.parameters()]
    kwargs = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    optimizer = getattr(torch.optim, kind)(parameters, foreach=False, **kwargs)
    keys = ("old_log_probs", "values", "whitened", "returns")
    parts = {k: per_completion(rollout[k]) for k in keys}
    steps = []
    for epoch, minibatches in enumerate(EPOCHS):
        for order in minibatches:
            batch = [torch.cat([parts[k][i] for i in order]) for k in keys]
            log_probs, values = log_probs_and_values(model, head, [completions[i] for i in order])
            log_probs.retain_grad()
            values.retain_grad()
            assert float((log_probs.detach().double() - batch[0]).abs().max()) < 20
            policy, value = losses(log_probs, values, *(t.to(dtype) for t in batch))
            optimizer.zero_grad()
            (policy + SETTINGS["value_coefficient"] * value).backward()
            norm = torch.nn.utils.clip_grad_norm_(
                parameters, SETTINGS["max_grad_norm"], foreach=False
            )
            steps.append({
                "epoch": epoch,
                "completions": order,
                "policy_loss": float(policy.detach()),
                "value_loss": float(value.detach()),
                **statistics(log_probs.detach().double(), values.detach().double(), *batch),
                "grad_norm": float(norm),
                "log_probs": flat(log_probs),
                "values": flat(values),
                "grad_log_probs": flat(log_probs.grad),
                "grad_values": flat(values.grad),
            })
            optimizer.step()
    named = [*model.named_parameters(), *((f"head.{n}", p) for n, p in head.named_parameters())]
    return {
        "optimizer": kind,
        "settings": settings,
        "minibatches": steps,
        "weights": [weight_summary(n, p) for n, p in named],
    }


# ---------------------------------------------------------------- the file


def make(dtype):
    completions = make_completions()
    rollout = make_rollout(completions, dtype)
    split = {k: per_completion(v) for k, v in rollout.items()}
    head = ValueHead(16)
    returns, values = rollout["returns"], rollout["values"]
    return {
        "about": ABOUT,
        "made_with": made_with(),
        "settings": SETTINGS,
        "head": {"weight": flat(head.weight), "bias": flat(head.bias)},
        "rollout": [
            {**c, **{k: flat(v[i]) for k, v in split.items()}} for i, c in enumerate(completions)
        ],
        "explained_variance": float(1 - (returns - values).var() / returns.var()),
        "updates": [
            {"name": name, **make_update(completions, rollout, kind, settings, dtype)}
            for name, kind, settings in OPTIMIZERS
        ],
    }


def largest_error(single, double):
    """The largest difference of two JSON values of the same form, relative where above 1."""
    if isinstance(single, dict):
        return max((largest_error(single[k], double[k]) for k in single), default=0.0)
    if isinstance(single, list):
        return max((largest_error(a, b) for a, b in zip(single, double)), default=0.0)
    if isinstance(single, float):
        return abs(single - double) / max(1.0, abs(double))
    return 0.0


def assert_telling(update):
    """Every branch of the losses is taken somewhere, and no step is a wild one."""
    steps = update["minibatches"]
    assert abs(steps[0]["mean_ratio"] - 1) < 1e-6 and steps[0]["clip_fraction"] == 0
    assert any(0 < s["clip_fraction"] < 1 for s in steps), update["name"]
    assert any(0 < s["value_clip_fraction"] < 1 for s in steps), update["name"]
    assert any(s["grad_norm"] > SETTINGS["max_grad_norm"] for s in steps)
    assert all(s["approx_kl"] < 5 for s in steps)


def fixture():
    single, double = make(torch.float32), make(torch.float64)
    for update in single["updates"]:
        assert_telling(update)
    single["float32_error"] = {
        "rollout": largest_error(single["rollout"], double["rollout"]),
        **{
            f"{a['name']}_{key}": largest_error(a[key], b[key])
            for a, b in zip(single["updates"], double["updates"])
            for key in ("minibatches", "weights")
        },
    }
    return single


def check(folder):
    with tempfile.TemporaryDirectory() as tmp:
        made = Path(tmp) / "ppo.json"
        made.write_text(dump(fixture()) + "\n")
        old, new = (json.loads(p.read_text()) for p in (folder / "ppo.json", made))
    bad = [f"ppo.json{d}" for d in differences(old, new)]
    print("\n".join(bad) if bad else "ppo.json agrees")
    return 1 if bad else 0


def main():
    ap = argparse.ArgumentParser(description="Make dpo-lab's fixture of PPO updates.")
    ap.add_argument("--out", type=Path, default=HERE)
    ap.add_argument("--check", action="store_true", help="make it anew and compare with --out")
    args = ap.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if args.check:
        return check(args.out)
    (args.out / "ppo.json").write_text(dump(fixture()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
