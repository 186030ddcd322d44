#!/usr/bin/env bash
# Each line that a hub logs is one JSON object where log.format says so, whatever the environment says.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
command -v node >/dev/null || { echo "SKIP: no node to read JSON with"; exit 77; }
export XINFER_LOG=debug

# lines FORMAT: what a hub logs while it answers one request.
lines() {
  printf 'log: {format: %s}\nagents: {local: 0}\n' "$1" >"$work/$1.yaml"
  start_hub "$1" --config "$work/$1.yaml"
  curl -fsS "$url/healthz" >/dev/null
  stop_hub
  grep -v '^Ignition Hub at\|^Administrator\|^Stopping' "$work/hub-$1.log" >"$work/lines" || fail "nothing was logged"
}
lines json
node -e 'for (const line of require("fs").readFileSync(process.argv[1], "utf8").trim().split("\n")) { const { time, level, message } = JSON.parse(line); if (!time || !level || !message) throw new Error(line); }' "$work/lines" || fail "a line is no JSON object"
grep -q '"path":"/healthz"' "$work/lines" || fail "the request is missing"
export XINFER_LOG_JSON=1
lines text
! grep -q '^{' "$work/lines" || fail "JSON, though text was asked for"
grep -q 'path=/healthz' "$work/lines" || fail "the request is missing"
echo ok
