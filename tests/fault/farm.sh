#!/usr/bin/env bash
# Two hubs and four agents on real servers while things go wrong; farm.mjs says how. XI_FAULT_SEEDS="1 2 3" names the seeds
# (then for longer), XI_FAULT_SECONDS how long each makes trouble.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${XI_BINARY_DIR:-$source/build/release}/bin
for program in node protoc clang++-19 psql rabbitmq-server ceph-mon ceph-osd radosgw; do
  command -v "$program" >/dev/null || { echo "SKIP: no $program (./dev setup fault)"; exit 77; }
done
[ -x "$bin/ignition-hub" ] && [ -x "$bin/ignition-agent" ] && [ -x "$bin/xinfer-cli" ] || { echo "the programs are not built" >&2; exit 1; }
# shellcheck disable=SC2086 # several seeds
exec node "$source/tests/fault/farm.mjs" ${XI_FAULT_SEEDS:-1}
