#!/usr/bin/env bash
# Unpacks Debian's Slurm into target/slurm for the tests beside this file: nothing is installed, and no daemon is started.
# Needs apt and the network; where Slurm is installed or unpacked already, it does nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=target/slurm

if [ -x /usr/sbin/slurmctld ] && [ -x /usr/sbin/slurmd ] || [ -d "$folder" ]; then exit 0; fi
command -v apt-get dpkg >/dev/null || { echo "this needs apt-get and dpkg" >&2; exit 1; }
if [ "$(id -u)" = 0 ]; then apt-get update -qq || true; fi

# Slurm and those of its libraries that this machine lacks; munge would start a daemon, and the tests do without.
packages=$(apt-get install --simulate --no-install-recommends slurmctld slurmd slurm-client |
    awk '$1 == "Inst" && $2 != "munge" { print $2 }')
mkdir -p target
unpacked=$(mktemp -d target/slurm.XXXXXX)
trap 'rm -rf "$unpacked"' EXIT
mkdir "$unpacked/packages" "$unpacked/root"
# shellcheck disable=SC2086
(cd "$unpacked/packages" && apt-get download -qq $packages)
for package in "$unpacked"/packages/*.deb; do dpkg -x "$package" "$unpacked/root"; done
mv "$unpacked/root" "$folder"
