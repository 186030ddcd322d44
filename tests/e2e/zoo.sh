#!/usr/bin/env bash
# The zoo on real pictures: each model finds what index.json beside the models says is there.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
shared=${XINFER_SHARED:-$source/../shared}
[ -f "$shared/models/index.json" ] || { echo "SKIP: no models beside the repository ($shared/models)"; exit 77; }
needs_farm
echo "sources.mirrors: [\"$shared/models\"]" >"$work/hub.yaml"
start_hub --config "$work/hub.yaml"
export XINFER_HUB=$url XINFER_TOKEN=$token
node "$source/tests/e2e/zoo.mjs" "$bin/../examples" "$shared/models" "$work" || { tail -20 "$work/hub.log" >&2; exit 1; }
