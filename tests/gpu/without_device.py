#!/usr/bin/env python3
"""What a training step asks of a GPU, on a machine that has none.

without_device.py BINARY OUT [--kernels N] [options of `dpo-lab bench`]

BINARY is a build with --features cuda. Its driver is one without a device (driver_without_device.c, built here with cc), NVRTC and the
headers are those of CUDA_PATH: the packages nvidia-cuda-nvrtc, nvidia-cuda-runtime, nvidia-cuda-crt and nvidia-cuda-cccl of PyPI do.
Every kernel is compiled and launched, none runs. Prints how long the first and a later process take to their first steps, how many
kernels were compiled, and for a step the launches and the threads that were asked for, with the greatest memory. OUT keeps the compiled
kernels; without it the search starts anew. Speed, losses and which of several kernels is chosen mean nothing here.
"""
import os
import pathlib
import re
import subprocess
import sys
import time

STEPS = 4, 14


def main(binary, out, *options):
    options = list(options)
    shown = 0
    if "--kernels" in options:
        at = options.index("--kernels")
        shown = int(options[at + 1])
        del options[at:at + 2]
    out = pathlib.Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    cuda = pathlib.Path(os.environ.get("CUDA_PATH", "/usr/local/cuda"))
    source = pathlib.Path(__file__).with_name("driver_without_device.c")
    # It stays in memory once it has been opened, as the real one does. Not libcuda.so.1, which NVRTC looks into.
    build = ["cc", "-O2", "-shared", "-fPIC", f"-I{cuda}/include", "-o", out / "libcuda.so", source, "-Wl,-z,nodelete", "-lm"]
    subprocess.run(build, check=True)
    libraries = [str(out), *(str(cuda / name) for name in ("lib", "lib64")), os.environ.get("LD_LIBRARY_PATH", "")]
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries), "CUDA_PATH": str(cuda), "XDG_CACHE_HOME": str(out)}

    def bench(steps):
        counts = out / f"counts-{steps}"
        command = [binary, "bench", "--device", "cuda:0", "--only", "training", "--steps", str(steps), *options]
        start = time.monotonic()
        result = subprocess.run(command, env={**environment, "DRIVER_COUNTS": str(counts)}, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"{result.stderr.strip()[:2000]}\nbench ended with {result.returncode}")
        return time.monotonic() - start, read(counts)

    cold, found = bench(STEPS[0])
    warm, few = bench(STEPS[0])
    _, many = bench(STEPS[1])
    per_step = {name: tuple((b - a) / (STEPS[1] - STEPS[0]) for a, b in zip(few[1].get(name, (0, 0)), both)) for name, both in many[1].items()}
    print(f"the first process {cold:.0f} s, with {found[0]['modules']} kernels compiled or loaded; a later one {warm:.1f} s, with {few[0]['modules']}")
    print(f"a step: {sum(one for one, _ in per_step.values()):.0f} launches, {sum(one for _, one in per_step.values()) / 1e6:.1f} million threads; "
          f"{few[0]['peak_mib']} MiB at most")
    kinds = {}
    for name, (launches, threads) in per_step.items():
        # What tells specialisations of one kernel apart.
        kind = re.sub(r"(_[0-9a-f]{8})$|_(lhs|rhs|acc|in|out)(_size)?_(f32|bf16|[0-9]+)", "", name)
        before = kinds.get(kind, (0, 0))
        kinds[kind] = before[0] + launches, before[1] + threads
    for kind, (launches, threads) in sorted(kinds.items(), key=lambda one: -one[1][0])[:shown]:
        print(f"{launches:8.1f} {threads / 1e6:10.2f}  {kind}")


def read(path):
    """Counts by their names, and (launches, threads) of every kernel."""
    counts, kernels = {}, {}
    for line in path.read_text().splitlines():
        name, *rest = line.split()
        if name == "kernel":
            before = kernels.get(rest[2], (0, 0))
            kernels[rest[2]] = before[0] + int(rest[0]), before[1] + float(rest[1])
        else:
            counts[name] = int(rest[0])
    return counts, kernels


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
