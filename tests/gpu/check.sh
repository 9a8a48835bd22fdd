#!/usr/bin/env bash
# What only a GPU can show: tests/gpu/check.sh BINARY OUT [PART ...]
#
# BINARY is a build with --features cuda; it may come from another machine, stripped and compressed (.gz, .zst). OUT keeps what was
# found: a part that is there is not run again, so the same command goes on after an interruption. Without names every part runs;
# each ends within 9 minutes. The network is not needed. PyTorch, TRL and datasets are the system's python3's (or $PYTHON's);
# without them the peers' parts say that they skip. tests/gpu/table.py OUT prints what was found so far.
#
#   machine parity products train-* generate-*   this program
#   peer-train-* peer-generate-* peer-products   PyTorch, transformers and TRL on the same shapes
#   study imdb dialogue                          the sentiment study; the same on reviews ($IMDB names their files), again and again until
#                                                it is done; SmolLM2 on HH ($SMOLLM2 and $HH name the folder and the pairs)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
[ $# -ge 2 ] || { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2; }
binary="$1"; out="$2"; shift 2
device="${DEVICE:-cuda:0}"; python="${PYTHON:-python3}"; limit="${LIMIT:-540}"
# Name, sequences, tokens, and what training needs to fit 80 GB.
sizes="${SIZES:-gpt2-small:32:512: gpt2-large:16:512: pythia-2.8b:16:512:--gradient-checkpointing}"
mkdir -p "$out"
out="$(cd "$out" && pwd)"
case "$binary" in
    *.zst) zstd -dqf "$binary" -o "$out/dpo-lab"; binary="$out/dpo-lab" ;;
    *.gz) gzip -dc "$binary" > "$out/dpo-lab"; binary="$out/dpo-lab" ;;
esac
[ "$binary" != "$out/dpo-lab" ] || chmod +x "$binary"
binary="$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")"

if ! "$binary" doctor --device "$device" > "$out/doctor.txt" 2>&1; then
    echo "skipped: $device does not compute here"
    cat "$out/doctor.txt"
    exit 0
fi

# The greatest memory in use on the GPU while a command runs, in MiB, beside its output: name_of_part command ...
run() {
    local name="$1" status=0; shift
    if command -v nvidia-smi > /dev/null && [ "$device" != cpu ]; then
        (while :; do nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -i "${device#cuda:}"; sleep 0.2; done) > "$out/$name.memory" 2> /dev/null &
        local watcher=$!
    fi
    timeout "$limit" "$@" > "$out/$name.part" 2> "$out/$name.err" || status=$?
    if [ -n "${watcher:-}" ]; then kill "$watcher" 2> /dev/null; wait "$watcher" 2> /dev/null || true; fi
    case $status in
        0) mv "$out/$name.part" "$out/$name.json" ;;
        124) echo "$name: not done in $limit s; a study goes on when the part is run again" ;;
        *) echo "$name: failed with $status"; tail -3 "$out/$name.err" ;;
    esac
}

part() {
    local name="$1"
    if [ -e "$out/$name.json" ]; then echo "$name: there"; return; fi
    echo "$name"
    local size sequences tokens extra
    IFS=: read -r size sequences tokens extra <<< "$(tr ' ' '\n' <<< "$sizes" | grep "^${name#*train-}:" || true)"
    case "$name" in
        machine) run "$name" "$binary" doctor --device "$device" --json ;;
        parity) run "$name" "$binary" doctor --device "$device" --compute --json ;;
        parity-strict)
            # Products in f32 without TF32, for which Burn's kernels have a file of settings.
            mkdir -p "$out/strict"; printf '[matmul]\nallow_tf32 = false\n' > "$out/strict/cubek.toml"
            (cd "$out/strict" && run "$name" "$binary" doctor --device "$device" --compute --json) ;;
        products) run "$name" "$binary" bench --model "${LARGE:-pythia-2.8b}" --device "$device" --only generation --rows 1 --products --precision bf16 --json ;;
        train-*) run "$name" "$binary" bench --model "$size" --device "$device" --only training --sequences "$sequences" --tokens "$tokens" \
            --precision bf16 --steps "${STEPS:-12}" --json $extra ;;
        generate-*) run "$name" "$binary" bench --model "${name#generate-}" --device "$device" --only generation --rows 64 --json ;;
        peer-train-*)
            IFS=- read -r how _ <<< "${name#peer-train-}"
            IFS=: read -r size sequences tokens extra <<< "$(tr ' ' '\n' <<< "$sizes" | grep "^${name#peer-train-*-}:")"
            run "$name" "$python" "$here/peer.py" train --how "$how" --model "$size" --sequences "$sequences" --tokens "$tokens" --steps "${STEPS:-12}" ;;
        peer-generate-*) run "$name" "$python" "$here/peer.py" generate --model "${name#peer-generate-}" --rows 64 ;;
        peer-products) run "$name" "$python" "$here/peer.py" products --shapes "$out/products.json" ;;
        study) run "$name" bash -c '"$0" run "$1/../../experiments/sentiment.toml" --device "$2" --results "$3/results" -q >&2 && cat "$3/results/sentiment/summary.csv"' \
            "$binary" "$here" "$device" "$out" ;;
        imdb) run "$name" bash -c '"$0" run "$1/../../experiments/imdb-cuda.toml" --device "$2" --results "$3/results" -q \
            --set "task.sentiment.corpus=\"$4\"" >&2 && cat "$3/results/imdb-cuda/summary.csv"' \
            "$binary" "$here" "$device" "$out" "${IMDB:?names the reviews}" ;;
        dialogue) run "$name" bash -c '"$0" run "$1/../../experiments/smollm2-dialogue.toml" --device "$2" --results "$3/results" -q \
            --set "model.base=\"$4\"" --set "task.dialogue.corpus=\"$5\"" >&2 && cat "$3/results/smollm2-dialogue/summary.csv"' \
            "$binary" "$here" "$device" "$out" "${SMOLLM2:?names the folder of SmolLM2}" "${HH:?names the pairs of HH}" ;;
        *) echo "there is no part $name"; exit 2 ;;
    esac
}

if [ $# -eq 0 ]; then
    set -- machine parity parity-strict products
    for size in $sizes; do set -- "$@" "train-${size%%:*}" "generate-${size%%:*}"; done
    if "$python" -c 'import torch, transformers' 2> /dev/null; then
        set -- "$@" peer-products
        for size in $sizes; do
            set -- "$@" "peer-generate-${size%%:*}"
            if "$python" -c 'import trl, datasets' 2> /dev/null; then
                for how in default best compile; do set -- "$@" "peer-train-$how-${size%%:*}"; done
            fi
        done
    fi
    "$python" -c 'import trl, datasets' 2> /dev/null || echo "skipped: $python has no TRL with datasets, so nothing is compared with it"
    set -- "$@" study
    if [ -n "${IMDB:-}" ]; then set -- "$@" imdb; else echo "skipped: imdb; IMDB names no reviews"; fi
    if [ -n "${SMOLLM2:-}" ] && [ -n "${HH:-}" ]; then set -- "$@" dialogue; else echo "skipped: dialogue; SMOLLM2 and HH name no model and pairs"; fi
fi
for name in "$@"; do part "$name"; done
"$python" "$here/table.py" "$out"
