#!/usr/bin/env bash
# Two hubs and four agents on real servers build for five organisations of different weights; fairness.mjs says how it is judged.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${XI_BINARY_DIR:-$source/build/release}/bin
for program in node protoc clang++-19 psql rabbitmq-server ceph-mon ceph-osd radosgw; do
  command -v "$program" >/dev/null || { echo "SKIP: no $program (./dev setup fault)"; exit 77; }
done
[ -x "$bin/ignition-hub" ] && [ -x "$bin/ignition-agent" ] && [ -x "$bin/xinfer-cli" ] || { echo "the programs are not built" >&2; exit 1; }
exec node "$source/tests/fault/fairness.mjs"
