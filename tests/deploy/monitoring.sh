#!/usr/bin/env bash
# Dashboard and alerts: every metric and label they ask for is one that a hub gives, the alerts fire when they should.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"

# A hub that has been asked for something, so that its metrics are there: one build waits, since there are no agents.
printf 'metrics: {public: on}\nagents: {local: 0}\n' >"$work/hub.yaml"
start_hub --config "$work/hub.yaml"
"$bin/make_model" tiny "$work/tiny.onnx" >/dev/null
printf '%s\n' "$token" | "$bin/xinfer-cli" hub login --hub "$url" >/dev/null
"$bin/xinfer-cli" hub build --hub "$url" --onnx "$work/tiny.onnx" --target x86-64-v3 --no-wait >/dev/null
curl -sS --fail "$url/metrics" >"$work/metrics"
node "$source/tests/deploy/monitoring.mjs" "$work/metrics" "$bin/ignition-hub" || fail "metrics"
echo "good"
