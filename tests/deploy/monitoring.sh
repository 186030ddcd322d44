#!/usr/bin/env bash
# Dashboard and alerts: every metric and label they ask for is one that a hub gives, the alerts fire when they should.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${XI_BINARY_DIR:-$source/build/release}/bin
work=$(mktemp -d)
hub=
cleanup() {
  [ -z "$hub" ] || kill "$hub" 2>/dev/null || true
  [ -z "$hub" ] || wait "$hub" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAIL: $*" >&2; tail -5 "$work/log" >&2; exit 1; }

# A hub that has been asked for something, so that its metrics are there: one build waits, since there are no agents.
printf 'metrics: {public: on}\nagents: {local: 0}\n' >"$work/hub.yaml"
"$bin/ignition-hub" serve --config "$work/hub.yaml" --data "$work/data" --listen 127.0.0.1:0 >"$work/log" 2>&1 &
hub=$!
for _ in $(seq 100); do url=$(grep -o 'http://[0-9.:]*' "$work/log" | tail -1) && break; sleep 0.1; done
token=$(grep -o 'ih_administrator_[0-9a-f]*' "$work/log") || fail "the hub does not start"
call() { curl -sS --fail-with-body -H "Authorization: Bearer $token" "$@"; }
"$bin/make_model" tiny "$work/tiny.onnx" >/dev/null
printf '%s\n' "$token" | XDG_CONFIG_HOME=$work "$bin/xinfer-cli" hub login --hub "$url" >/dev/null
XDG_CONFIG_HOME=$work XDG_CACHE_HOME=$work "$bin/xinfer-cli" hub build --hub "$url" --onnx "$work/tiny.onnx" --target x86-64-v3 --no-wait >/dev/null
curl -sS --fail "$url/metrics" >"$work/metrics"
node "$source/tests/deploy/monitoring.mjs" "$work/metrics" "$bin/ignition-hub" || fail "metrics"
echo "good"
