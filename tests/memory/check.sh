#!/usr/bin/env bash
# The kernels' tests under valgrind: reads and writes outside of a buffer, and of what was never set. Takes two minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed"
    exit 0
fi
binary=$(cargo test --release --lib --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
# The two that are left out try a function on millions of numbers and touch no memory of their own.
valgrind -q --error-exitcode=9 "$binary" ops:: --test-threads=1 --skip exp_is_right --skip shares_are
