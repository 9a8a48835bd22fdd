"""The table of what tests/gpu/check.sh found: table.py OUT"""

import json
import sys
from pathlib import Path

# Dense bf16 operations a second, from NVIDIA's data sheets.
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}


def read(out: Path, name: str) -> dict | None:
    path = out / f"{name}.json"
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8").strip()
    # Trainers print what they like before the last line.
    return json.loads(text if text.startswith("{\n") else text.splitlines()[-1])


def memory(out: Path, name: str, said: int | None = None) -> str:
    path = out / f"{name}.memory"
    seen = [int(line) for line in path.read_text().split() if line.isdigit()] if path.exists() else []
    return f"{max(seen) / 1024:.1f}" if seen else "" if said is None else f"{said / 2**30:.1f}"


def operations(model: str, parameters: int, tokens: float) -> float:
    """Of a token in training, without what checkpointing does again: 6 for every weight that multiplies it, and attention's."""
    layers, width, vocabulary, tied, context = {
        "bench-tiny": (4, 128, 2048, True, 256),
        "gpt2-small": (12, 768, 50257, True, 1024),
        "gpt2-large": (36, 1280, 50257, True, 1024),
        "pythia-2.8b": (32, 2560, 50304, False, 0),
    }[model]
    # Positions are looked up; an embedding that is not the head's is, too.
    weights = parameters - width * context - (0 if tied else vocabulary * width)
    return 6 * weights + 6 * layers * width * tokens


def main() -> None:
    out = Path(sys.argv[1])
    machine = read(out, "machine")
    if machine is None:
        sys.exit(f"{out} has no machine.json: run tests/gpu/check.sh")
    name = next((gpu["name"] for gpu in (machine["cuda"].get("gpus", {}).get("Ok") or ["", []])[1]), machine["device"])
    most = next((rate for key, rate in PEAK.items() if key in name), None)
    print(f"{name}, dpo-lab {machine['version']} ({machine['commit']})\n")
    for part in ("parity", "parity-strict"):
        if found := read(out, part):
            worst = max(found["compared"], key=lambda one: one["deviation"] / one["bound"])
            off = [one for one in found["compared"] if one["deviation"] > one["bound"]]
            losses = {one["precision"]: one["deviation"] for one in found["compared"] if one["what"].startswith("losses")}
            print(f"{part}: {len(found['compared'])} comparisons, {len(off)} too far; nearest to its bound: {worst['what']} {worst['precision']} "
                  f"{worst['deviation']:.1e} of {worst['bound']:.0e}; losses {', '.join(f'{k} {v:.1e}' for k, v in losses.items())}")  # fmt: skip
    if found := read(out, "products"):
        peers = {one["what"]: one["flops"] for one in (read(out, "peer-products") or {"products": []})["products"]}
        print("\n| product | shape | TFLOP/s | cuBLAS | ratio |\n|---|---|---|---|---|")
        for one in found["products"]:
            peer = peers.get(one["what"])
            shape = " x ".join(map(str, one["shape"]))
            rest = f"{peer / 1e12:.3g} | {one['flops'] / peer:.2f}" if peer else " | "
            print(f"| {one['what']} | {shape} | {one['flops'] / 1e12:.3g} | {rest} |")
    print("\n| part | model | tokens/s | MFU | peak GiB | times this |\n|---|---|---|---|---|---|")
    for path in sorted(out.glob("train-*.json")):
        model = path.stem.removeprefix("train-")
        whole = read(out, path.stem)
        found = whole["training"]
        rate = found["tokens_per_s"]
        cost = operations(model, whole["parameters"], found["tokens"])
        share = f"{rate * cost / most:.0%}" if most else ""
        print(f"| training | {model} | {rate:.0f} | {share} | {memory(out, path.stem)} | |")
        for how in ("default", "best", "compile"):
            if peer := read(out, f"peer-train-{how}-{model}"):
                share = f"{peer['tokens_per_s'] * cost / most:.0%}" if most else ""
                used = memory(out, f"peer-train-{how}-{model}", peer["peak_memory"])
                print(f"| TRL, {how} | {model} | {peer['tokens_per_s']:.0f} | {share} | {used} | {rate / peer['tokens_per_s']:.2f} |")
    for path in sorted(out.glob("generate-*.json")):
        model = path.stem.removeprefix("generate-")
        rate = read(out, path.stem)["generation"]["tokens_per_s"]
        print(f"| generation, batch 64 | {model} | {rate:.0f} | | {memory(out, path.stem)} | |")
        if peer := read(out, f"peer-generate-{model}"):
            used = memory(out, f"peer-generate-{model}", peer["peak_memory"])
            print(f"| transformers.generate | {model} | {peer['tokens_per_s']:.0f} | | {used} | {rate / peer['tokens_per_s']:.2f} |")


if __name__ == "__main__":
    main()
