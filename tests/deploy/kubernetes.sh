#!/usr/bin/env bash
# Every overlay of deploy/kubernetes: rendered, held against the schemas and our rules; and that planted faults are found.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
command -v kubectl >/dev/null || { echo "SKIP: no kubectl"; exit 77; }
[ -d "$source/node_modules/kubernetes-models" ] || { echo "SKIP: no npm packages (./dev setup)"; exit 77; }
exec node "$source/tests/deploy/kubernetes.mjs"
