#!/usr/bin/env python3
"""Make the golden numbers that dpo-lab's parity tests compare against.

How to run it (a few seconds on a CPU; nothing is fetched at run time):

    python -m venv .venv
    .venv/bin/pip install -r tests/parity/requirements.txt
    .venv/bin/python tests/parity/make_fixtures.py            # writes beside this file
    .venv/bin/python tests/parity/make_fixtures.py --out DIR  # writes elsewhere
    .venv/bin/python tests/parity/make_fixtures.py --check    # compares, writes nothing

What it makes:

    optimizers.json       torch.optim RMSprop, AdamW and SGD over 8 steps, with global-norm
                          gradient clipping and linear warm-up of the learning rate
    losses.json           preference losses of pairs, tokens and rankings, and their gradients,
                          in float64
    gpt2/config.json, gpt2/generation_config.json, gpt2/model.safetensors
                          a tiny random GPT-2 as transformers saves it
    gpt2/model_b.safetensors
                          the same model with perturbed weights (the "reference" model)
    gpt2/expected.json    token log-probs, greedy continuations, gradients, KL and entropies

Conventions:

  * Every random number comes from Python's own random.Random with a fixed seed, so the inputs
    do not depend on the version of torch.  Results are computed on one thread; their last bits
    may still differ between CPU types, which is why --check compares with a tolerance.
  * A float32 value is written as the exact decimal of the float64 it widens to: read it as
    float64 and narrow it, and the same float32 comes back.
  * Tensors are flattened in row-major order; their shapes stand beside them.
"""

import argparse
import json
import math
import random
import shutil
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel

HERE = Path(__file__).resolve().parent


# ---------------------------------------------------------------- helpers


def flat(t):
    """A tensor as a flat list of Python floats (float32 widens exactly)."""
    return [float(x) for x in t.detach().reshape(-1).tolist()]


def normals(rng, shape, std=1.0, mean=0.0):
    n = math.prod(shape)
    return torch.tensor(
        [mean + std * rng.gauss(0.0, 1.0) for _ in range(n)], dtype=torch.float64
    ).to(torch.float32).reshape(shape)


def dump(value, indent=0):
    """JSON with one key to a line, but lists of plain values on one line."""
    pad = " " * (indent + 1)
    if isinstance(value, dict) and value:
        if all(not isinstance(v, (dict, list)) for v in value.values()):
            return json.dumps(value)
        body = ",\n".join(f"{pad}{json.dumps(k)}: {dump(v, indent + 1)}" for k, v in value.items())
        return "{\n" + body + "\n" + " " * indent + "}"
    if isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value):
        body = ",\n".join(pad + dump(v, indent + 1) for v in value)
        return "[\n" + body + "\n" + " " * indent + "]"
    return json.dumps(value, allow_nan=False)


def made_with():
    return {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}


# ---------------------------------------------------------------- optimizers

SHAPES = [[3, 4], [5]]
STEPS = 8
WARMUP = 3
# The size of the gradients at each step: with MAX_NORM the clip bites at some steps only.
GRAD_SCALE = [0.2, 1.5, 0.4, 3.0, 0.1, 1.0, 0.25, 2.0]
MAX_NORM = 2.0

OPTIMIZER_CASES = [
    ("rmsprop", "RMSprop", dict(lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0, weight_decay=0.0)),
    ("rmsprop_momentum_decay", "RMSprop",
     dict(lr=0.01, alpha=0.99, eps=1e-8, momentum=0.9, weight_decay=0.01)),
    ("rmsprop_eps_1e-2", "RMSprop",
     dict(lr=0.01, alpha=0.99, eps=1e-2, momentum=0.0, weight_decay=0.0)),
    ("adamw", "AdamW", dict(lr=0.01, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01)),
    ("adamw_beta2_098_no_decay", "AdamW",
     dict(lr=0.01, betas=[0.9, 0.98], eps=1e-8, weight_decay=0.0)),
    ("sgd", "SGD", dict(lr=0.05, momentum=0.0, weight_decay=0.0)),
    ("sgd_momentum", "SGD", dict(lr=0.05, momentum=0.9, weight_decay=0.0)),
    ("sgd_decay", "SGD", dict(lr=0.05, momentum=0.0, weight_decay=0.01)),
    ("sgd_momentum_decay", "SGD", dict(lr=0.05, momentum=0.9, weight_decay=0.01)),
]


def make_optimizers():
    cases = []
    for i, (name, kind, settings) in enumerate(OPTIMIZER_CASES):
        rng = random.Random(1000 + i)
        params = [torch.nn.Parameter(normals(rng, s)) for s in SHAPES]
        initial = [flat(p) for p in params]
        kwargs = dict(settings)
        if "betas" in kwargs:
            kwargs["betas"] = tuple(kwargs["betas"])
        opt = getattr(torch.optim, kind)(params, foreach=False, **kwargs)
        sched = torch.optim.lr_scheduler.LambdaLR(
            opt, lambda step: min(1.0, (step + 1) / (WARMUP + 1))
        )
        steps = []
        for t in range(STEPS):
            grads = [normals(rng, s, GRAD_SCALE[t]) for s in SHAPES]
            for p, g in zip(params, grads):
                p.grad = g.clone()
            total = torch.nn.utils.clip_grad_norm_(params, MAX_NORM, foreach=False)
            lr = opt.param_groups[0]["lr"]
            opt.step()
            sched.step()
            steps.append({
                "lr": lr,
                "grads": [flat(g) for g in grads],
                "total_norm": float(total),
                "clipped": float(total) > MAX_NORM,
                "params": [flat(p) for p in params],
            })
        clipped = sum(s["clipped"] for s in steps)
        assert 0 < clipped < STEPS, (name, clipped)
        cases.append({
            "name": name,
            "optimizer": kind,
            "settings": settings,
            "max_grad_norm": MAX_NORM,
            "warmup_steps": WARMUP,
            "shapes": SHAPES,
            "initial": initial,
            "steps": steps,
        })
    return {
        "about": "torch.optim in float32. Each step: clip_grad_norm_ over both tensors "
                 "(scale = min(1, max_grad_norm / (total_norm + 1e-6))), then the optimizer with "
                 "'lr' = settings.lr * min(1, (step+1)/(warmup_steps+1)), step from 0. 'grads' "
                 "and 'total_norm' are before clipping, 'params' after the step. weight_decay is "
                 "added to the gradient in RMSprop and SGD, decoupled in AdamW.",
        "made_with": made_with(),
        "cases": cases,
    }


# ---------------------------------------------------------------- losses


SMOOTHING = 0.1


def logsig(x):
    return torch.nn.functional.logsigmoid(x)


def log_odds(x):
    """log(p / (1 - p)) of log p."""
    return x - torch.log(-torch.expm1(x))


def preference_case(f, leaves, **settings):
    """A loss with its settings, its value and its gradient with respect to every leaf."""
    leaves = {
        k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in leaves.items()
    }
    loss = f(*leaves.values())
    grads = torch.autograd.grad(loss, list(leaves.values()))
    named = {f"grad_{k}": g.tolist() for k, g in zip(leaves, grads)}
    return {**settings, "value": float(loss.detach()), **named}


def pair_cases(rng, logp_w, logp_l, ref_w, ref_l):
    """Losses of a pair that read the sums of both completions only."""
    eps = SMOOTHING
    out = []

    def add(f, **settings):
        out.append(preference_case(f, {"w": logp_w, "l": logp_l}, **settings))

    # f'(u) of r = log u, for each divergence.
    links = [
        ({"divergence": "forward-kl"}, lambda r: -torch.exp(-r)),
        ({"divergence": "jensen-shannon"}, lambda r: math.log(2) + r - torch.logaddexp(r, r * 0)),
        ({"divergence": "alpha", "divergence_alpha": 0.5}, lambda r: (1 - torch.exp(-r / 2)) / 0.5),
        ({"divergence": "alpha", "divergence_alpha": 0.01},
         lambda r: -torch.expm1(-r * 0.01) / 0.01),
    ]
    for beta in (0.1, 1.0):
        def margin(w, l, beta=beta):
            return beta * ((w - ref_w) - (l - ref_l))

        add(lambda w, l: (-(1 - eps) * logsig(margin(w, l)) + eps * logsig(-margin(w, l)))
            / (1 - 2 * eps),
            loss="robust_dpo", beta=beta, label_smoothing=eps)
        add(lambda w, l: (margin(w, l) / beta - 1 / (2 * beta)) ** 2, loss="ipo", beta=beta)
        add(lambda w, l: torch.relu(1 - margin(w, l)), loss="hinge", beta=beta)
        for settings, link in links:
            add(lambda w, l: -logsig(beta * (link(w - ref_w) - link(l - ref_l))),
                loss="dpo", beta=beta, **settings)
        add(lambda w, l: -logsig(beta * (w - l)), loss="dpo", beta=beta, reference_free=True)
        mismatched = rng.gauss(0, 3)
        z = max(0.0, mismatched)
        add(lambda w, l: ((1 - torch.sigmoid(beta * (w - ref_w - z)))
                          + 1.25 * (1 - torch.sigmoid(beta * (z - (l - ref_l))))) / 2,
            loss="kto", beta=beta, undesirable_weight=1.25, mismatched=mismatched)
    return out


# Lengths and scales of the two completions: ordinary ones, tokens that are nearly certain, and
# tokens that are nearly impossible.
TOKEN_SHAPES = [(5, 8, 1.5, 2.0), (4, 1, 3.0, 0.5), (3, 6, 1e-3, 1e-2), (2, 4, 60.0, 30.0)]


def make_token_examples():
    """Losses of a pair that read the completions' lengths, with gradients of every token."""
    rng = random.Random(2100)
    examples = []
    for tokens_w, tokens_l, scale_w, scale_l in TOKEN_SHAPES:
        w = [-scale_w * rng.uniform(0.2, 1.8) for _ in range(tokens_w)]
        l = [-scale_l * rng.uniform(0.2, 1.8) for _ in range(tokens_l)]
        ref_w, ref_l = sum(w) + rng.gauss(0, 2), sum(l) + rng.gauss(0, 2)
        losses = []

        def add(f, **settings):
            losses.append(preference_case(f, {"w": w, "l": l}, **settings))

        def mean_margin(w, l):
            return (w.sum() - ref_w) / len(w) - (l.sum() - ref_l) / len(l)

        for beta in (0.1, 1.0):
            add(lambda w, l: (mean_margin(w, l) - 1 / (2 * beta)) ** 2,
                loss="ipo", beta=beta, form="mean")
            add(lambda w, l: -logsig(beta * mean_margin(w, l)),
                loss="dpo", beta=beta, average_log_prob=True)
            add(lambda w, l: -logsig(beta * (w.mean() - l.mean())),
                loss="dpo", beta=beta, average_log_prob=True, reference_free=True)
            add(lambda w, l: -logsig(beta * ((w.sum() - ref_w) - (l.sum() - ref_l)))
                - 0.5 * w.mean(),
                loss="dpo", beta=beta, sft_weight=0.5)
            add(lambda w, l: -w.mean() - beta * logsig(log_odds(w.mean()) - log_odds(l.mean())),
                loss="orpo", beta=beta)
        for beta, gamma in ((2.0, 1.0), (2.5, 0.0)):
            add(lambda w, l: -logsig(beta * (w.mean() - l.mean()) - gamma),
                loss="simpo", beta=beta, gamma=gamma)
        add(lambda w, l: -w.sum() - 0.5 * torch.log(-torch.expm1(l)).sum(),
            loss="unlikelihood", alpha=0.5, form="token")
        inputs = {"tokens_w": w, "tokens_l": l, "ref_w": ref_w, "ref_l": ref_l}
        examples.append({"inputs": inputs, "losses": losses})
    return examples


def make_ranking_examples():
    """The Plackett-Luce loss of rankings of several lengths, the best completion first."""
    rng = random.Random(2200)
    examples = []
    for length, spread in ((2, 3.0), (3, 3.0), (5, 10.0), (4, 100.0)):
        ref = [rng.uniform(-60, -35) for _ in range(length)]
        logp = [r + rng.gauss(0, spread) for r in ref]

        def loss(logp, beta):
            s = beta * (logp - torch.tensor(ref, dtype=torch.float64))
            return -sum(s[k] - torch.logsumexp(s[k:], 0) for k in range(len(s)))

        losses = [
            preference_case(lambda y: loss(y, beta), {"logp": logp},
                            loss="plackett_luce", beta=beta)
            for beta in (0.1, 1.0)
        ]
        examples.append({"inputs": {"logp": logp, "ref": ref}, "losses": losses})
    return examples


def make_losses():
    rng = random.Random(2000)
    # The numbers that came later have a generator of their own, so that the earlier ones stay.
    later = random.Random(2050)
    alpha, eps = 0.5, SMOOTHING

    examples = []
    for i in range(6):
        # The last two have wide margins of either sign: a careless sigmoid loses them.
        ref_w, ref_l = rng.uniform(-60, -35), rng.uniform(-60, -35)
        spread = 3.0 if i < 4 else 1.0
        shift = {4: 45.0, 5: -45.0}.get(i, 0.0)
        logp_w = ref_w + rng.gauss(0, spread) + shift / 2
        logp_l = ref_l + rng.gauss(0, spread) - shift / 2
        assert max(logp_w, logp_l) < 0
        r_w = rng.gauss(0, 1.5) + shift / 2
        r_l = rng.gauss(0, 1.5) - shift / 2
        ex = {
            "logp_w": logp_w, "logp_l": logp_l, "ref_w": ref_w, "ref_l": ref_l,
            "reward_w": r_w, "reward_l": r_l,
        }
        losses = []

        def add(f, a, b, **kw):
            losses.append(preference_case(f, {"w": a, "l": b}, **kw))

        for beta in (0.1, 1.0):
            def margin(w, l, beta=beta):
                return beta * ((w - ref_w) - (l - ref_l))

            add(lambda w, l: -logsig(margin(w, l)), logp_w, logp_l, loss="dpo", beta=beta)
            add(lambda w, l: -(1 - eps) * logsig(margin(w, l)) - eps * logsig(-margin(w, l)),
                logp_w, logp_l, loss="cdpo", beta=beta, label_smoothing=eps)
        add(lambda w, l: -w + alpha * l, logp_w, logp_l, loss="unlikelihood", alpha=alpha)
        add(lambda w, l: -logsig(w - l), r_w, r_l, loss="bradley_terry")
        losses += pair_cases(later, logp_w, logp_l, ref_w, ref_l)
        examples.append({"inputs": ex, "losses": losses})
    return {
        "about": "float64. A loss has the name and the settings of its method's table in an "
                 "experiment file (src/methods says what they mean); kto also has the mismatched "
                 "mean that it is given. m = beta*((logp_w-ref_w)-(logp_l-ref_l)). dpo: "
                 "-log sigmoid(m). cdpo: -(1-label_smoothing)*log sigmoid(m) - "
                 "label_smoothing*log sigmoid(-m). unlikelihood: -logp_w + alpha*logp_l. "
                 "bradley_terry: -log sigmoid(reward_w-reward_l). kto: the mean over both "
                 "completions. grad_w and grad_l are with respect to logp_w and logp_l "
                 "(bradley_terry: reward_w and reward_l). token_examples: completions by their "
                 "tokens, and gradients with respect to them. ranking_examples: completions from "
                 "best to worst.",
        "made_with": made_with(),
        "examples": examples,
        "token_examples": make_token_examples(),
        "ranking_examples": make_ranking_examples(),
    }


# ---------------------------------------------------------------- GPT-2

VOCAB = 50
EOS = 0
SEQUENCE_LENGTHS = [5, 9, 12]
GREEDY_STEPS = 12
MIN_MARGIN = 1e-3
GRAD_PARAMS = [
    "transformer.wte.weight",
    "transformer.h.0.attn.c_attn.weight",
    "transformer.h.1.mlp.c_proj.bias",
    "transformer.ln_f.weight",
]


def make_model():
    config = GPT2Config(
        vocab_size=VOCAB, n_positions=32, n_embd=16, n_layer=2, n_head=4,
        activation_function="gelu_new", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        summary_first_dropout=0.0, initializer_range=0.2, bos_token_id=EOS, eos_token_id=EOS,
        tie_word_embeddings=True,
    )
    config._attn_implementation = "eager"
    return GPT2LMHeadModel(config).eval()


def randomize(model, rng):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if ".ln_" in name and name.endswith("weight"):
                p.copy_(normals(rng, p.shape, 0.2, 1.0))
            elif name.endswith("wte.weight"):
                p.copy_(normals(rng, p.shape, 0.3))
            elif name.endswith("wpe.weight"):
                # Large next to wte: the tied head then repeats itself less in greedy decoding.
                p.copy_(normals(rng, p.shape, 0.6))
            elif name.endswith("c_attn.weight"):
                p.copy_(normals(rng, p.shape, 0.4))
            else:
                p.copy_(normals(rng, p.shape, 0.2))


def perturb(model, source, rng):
    with torch.no_grad():
        for p, q in zip(model.parameters(), source.parameters()):
            p.copy_(q + normals(rng, p.shape, 0.05))


def next_token_log_probs(logits, ids, length):
    """Log-prob of each of tokens 1..length-1 given those before it, in float64."""
    lp = torch.log_softmax(logits[: length - 1].double(), dim=-1)
    return lp.gather(-1, ids[1:length].unsqueeze(-1)).squeeze(-1)


def gradients(model, ids, mask):
    model.zero_grad()
    logits = model(input_ids=ids, attention_mask=mask).logits
    total = sum(
        next_token_log_probs(logits[i], ids[i], n).sum() for i, n in enumerate(SEQUENCE_LENGTHS)
    )
    total.backward()
    named = dict(model.named_parameters())
    return float(total.detach()), {n: named[n].grad.clone() for n in GRAD_PARAMS}


def greedy(model, ids):
    ids, margins = list(ids), []
    with torch.no_grad():
        for _ in range(GREEDY_STEPS):
            top = model(input_ids=torch.tensor([ids])).logits[0, -1].double().topk(2)
            margins.append(float(top.values[0] - top.values[1]))
            ids.append(int(top.indices[0]))
    return ids[-GREEDY_STEPS:], margins


def make_gpt2(folder):
    rng = random.Random(3068)
    model, model_b = make_model(), make_model()
    randomize(model, rng)
    perturb(model_b, model, rng)
    rows = [[rng.randrange(1, VOCAB) for _ in range(n)] for n in SEQUENCE_LENGTHS]
    width = max(SEQUENCE_LENGTHS)
    ids = torch.tensor([r + [EOS] * (width - len(r)) for r in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])

    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
        logits_b = model_b(input_ids=ids, attention_mask=mask).logits
    sequences = []
    for i, n in enumerate(SEQUENCE_LENGTHS):
        tokens, margins = greedy(model, rows[i])
        assert min(margins) > MIN_MARGIN, min(margins)
        assert EOS not in tokens and len(set(tokens)) >= 6, tokens
        lp = torch.log_softmax(logits[i, :n].double(), dim=-1)
        lq = torch.log_softmax(logits_b[i, :n].double(), dim=-1)
        token_lp = next_token_log_probs(logits[i], ids[i], n)
        token_lp_b = next_token_log_probs(logits_b[i], ids[i], n)
        sequences.append({
            "ids": rows[i],
            "length": n,
            "logprobs": flat(token_lp),
            "sum_logprob": float(token_lp.sum()),
            "logprobs_b": flat(token_lp_b),
            "sum_logprob_b": float(token_lp_b.sum()),
            "last_logits": flat(logits[i, n - 1]),
            "greedy": tokens,
            "greedy_min_margin": min(margins),
            "kl": flat((lp.exp() * (lp - lq)).sum(-1)),
            "entropy": flat(-(lp.exp() * lp).sum(-1)),
            "entropy_b": flat(-(lq.exp() * lq).sum(-1)),
        })

    total, grads = gradients(model, ids, mask)

    # The same in float64 throughout: how far float32 itself strays from the exact numbers.
    exact = make_model()
    exact.load_state_dict(model.state_dict())
    exact.double()
    with torch.no_grad():
        logits64 = exact(input_ids=ids, attention_mask=mask).logits
    _, grads64 = gradients(exact, ids, mask)
    lp_error = max(
        float((next_token_log_probs(logits64[i], ids[i], n)
               - torch.tensor(sequences[i]["logprobs"], dtype=torch.float64)).abs().max())
        for i, n in enumerate(SEQUENCE_LENGTHS)
    )

    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    with tempfile.TemporaryDirectory() as tmp:
        model_b.save_pretrained(tmp)
        shutil.copyfile(Path(tmp) / "model.safetensors", folder / "model_b.safetensors")
    for name in ("model.safetensors", "model_b.safetensors"):
        (folder / name).chmod(0o644)

    return {
        "about": "Model model.safetensors (the policy) and model_b.safetensors (the reference) "
                 "share config.json. Right-padded 'input_ids' with 'attention_mask'; logits are "
                 "float32, what follows from them is float64. logprobs[t] is the log-prob of "
                 "ids[t+1] given ids[..=t]. kl[t], entropy[t] and entropy_b[t] are of the "
                 "distributions after ids[..=t], t = 0..length-1; kl = sum_v p*(log p - log p_b). "
                 "'_b' is of the reference. 'greedy' has no stop token. 'gradients' are of "
                 "sum_logprob of all three sequences with respect to model's parameters (wte is "
                 "tied: embedding and head parts are added up).",
        "made_with": made_with(),
        "vocab_size": VOCAB,
        "pad_id": EOS,
        "input_ids": ids.tolist(),
        "attention_mask": mask.tolist(),
        "sequences": sequences,
        "sum_logprob_all": total,
        "gradients": [
            {"name": n, "shape": list(g.shape), "values": flat(g)} for n, g in grads.items()
        ],
        "float32_error": {
            "logprobs_max_abs": lp_error,
            "gradients_max_abs": {
                n: float((g.double() - grads64[n]).abs().max()) for n, g in grads.items()
            },
        },
    }


# ---------------------------------------------------------------- main


def write(folder):
    (folder / "gpt2").mkdir(parents=True, exist_ok=True)
    for name, make in [
        ("optimizers.json", make_optimizers),
        ("losses.json", make_losses),
        ("gpt2/expected.json", lambda: make_gpt2(folder / "gpt2")),
    ]:
        (folder / name).write_text(dump(make()) + "\n")


def differences(old, new, at=""):
    """Places where two JSON values differ by more than rounding."""
    if isinstance(old, dict) and isinstance(new, dict):
        for k in sorted(old.keys() | new.keys()):
            if k in ("made_with", "float32_error"):
                continue
            if k not in old or k not in new:
                yield f"{at}/{k}: only on one side"
            else:
                yield from differences(old[k], new[k], f"{at}/{k}")
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{at}: {len(old)} items, now {len(new)}"
        for i, (a, b) in enumerate(zip(old, new)):
            yield from differences(a, b, f"{at}/{i}")
    elif isinstance(old, float) and isinstance(new, float):
        if abs(old - new) > 2e-5 * max(1.0, abs(old)):
            yield f"{at}: {old} now {new}"
    elif old != new:
        yield f"{at}: {old} now {new}"


def check(folder):
    bad = []
    with tempfile.TemporaryDirectory() as tmp:
        write(Path(tmp))
        for name in ("optimizers.json", "losses.json", "gpt2/expected.json", "gpt2/config.json"):
            old = json.loads((folder / name).read_text())
            new = json.loads((Path(tmp) / name).read_text())
            bad += [f"{name}{d}" for d in differences(old, new)]
        for name in ("gpt2/model.safetensors", "gpt2/model_b.safetensors"):
            if (folder / name).read_bytes() != (Path(tmp) / name).read_bytes():
                bad.append(f"{name}: other bytes")
    print("\n".join(bad) if bad else "fixtures agree")
    return 1 if bad else 0


def main():
    ap = argparse.ArgumentParser(description="Make dpo-lab's parity fixtures.")
    ap.add_argument("--out", type=Path, default=HERE)
    ap.add_argument("--check", action="store_true",
                    help="make them in a temporary folder and compare with --out")
    args = ap.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if args.check:
        return check(args.out)
    write(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
