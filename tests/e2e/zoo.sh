#!/usr/bin/env bash
# The zoo on real pictures: each model finds what index.json beside the models says is there.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${XI_BINARY_DIR:-$source/build/release}
shared=${XINFER_SHARED:-$source/../shared}
[ -f "$shared/models/index.json" ] || { echo "SKIP: no models beside the repository ($shared/models)"; exit 77; }
bwrap --unshare-all --ro-bind / / true 2>/dev/null || { echo "SKIP: bubblewrap makes no sandbox here"; exit 77; }
command -v clang++-19 >/dev/null || { echo "SKIP: no clang++-19"; exit 77; }
work=$(mktemp -d)
hub=
cleanup() {
  [ -z "$hub" ] || kill "$hub" 2>/dev/null || true
  [ -z "$hub" ] || wait "$hub" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
export XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache
unset XINFER_OFFLINE
echo "sources.mirrors: [\"$shared/models\"]" >"$work/hub.yaml"
"$build/bin/ignition-hub" serve --data "$work/data" --config "$work/hub.yaml" --listen 127.0.0.1:0 >"$work/hub.log" 2>&1 &
hub=$!
for _ in $(seq 300); do
  XINFER_HUB=$(grep -o 'Ignition Hub at http://[0-9.:]*' "$work/hub.log" | cut -d' ' -f4) && break
  kill -0 "$hub" 2>/dev/null || { cat "$work/hub.log" >&2; exit 1; }
  sleep 0.1
done
XINFER_TOKEN=$(grep -o 'ih_administrator_[0-9a-f]*' "$work/hub.log")
export XINFER_HUB XINFER_TOKEN
node "$source/tests/e2e/zoo.mjs" "$build/examples" "$shared/models" "$work" || { tail -20 "$work/hub.log" >&2; exit 1; }
