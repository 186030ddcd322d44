#!/usr/bin/env bash
# Jobs that are no builds, with a hub and its agent: a preflight by the command and by REST, a tuning that waits for a GPU.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
needs_farm

start_hub
export XINFER_HUB=$url XINFER_TOKEN=$token
"$bin/make_model" mobilenet_v2 "$work/m.onnx"
holds() { node -e "const v=JSON.parse(require('fs').readFileSync('$work/out','utf8')); if(!($1)) process.exit(1)" || fail "not so: $1"; }

# The agent says what this machine would say: the same model on the same machine.
expect 0 hub preflight --onnx "$work/m.onnx" --target x86-64-v3,h100:fp16 --json
holds 'v.kind === "preflight" && v.state === "succeeded" && v.result.supported && v.result.targets.length === 2'
holds 'v.result.targets[0].multiply_adds === 300774272'
onnx=$(node -p "JSON.parse(require('fs').readFileSync('$work/out','utf8')).onnx")
expect 0 hub preflight --onnx "$work/m.onnx" --target x86-64-v3
says '^can be built'
says 'x86-64-v3 +build about [0-9.]+ s, latency about'

# By REST, waiting for the answer; a file that is no model is the user's fault, in the words of a build.
preflight() { curl -sS -H "Authorization: Bearer $token" "$url/v1/preflights/$1?wait=20000" >"$work/out"; }
id=$(call -XPOST "$url/v1/preflights" -d "{\"onnx\":\"$onnx\",\"targets\":[\"armv8-a\"],\"launches\":true}" | field id)
preflight "$id"
holds 'v.result.targets[0].launch_list.length > 50'
head -c 5000 /dev/urandom >"$work/noise.onnx"
expect 76 hub preflight --onnx "$work/noise.onnx" --target x86-64-v3
says 'invalid_model'

# No agent here has such a GPU, and the status says so.
expect 0 hub tune --onnx "$work/m.onnx" --target h100:fp16 --no-wait --json
holds 'v.state === "queued" && v.waiting_for === "no agent offers a device for sm_90a"'
tune=$(node -p "JSON.parse(require('fs').readFileSync('$work/out','utf8')).id")
expect 0 hub status "$tune"
says '^waits +no agent offers a device for sm_90a'
expect 0 hub cancel "$tune"
says 'is cancelled'
expect 65 hub tune --onnx "$work/m.onnx" --target x86-64-v3
says 'only GPU targets are tuned'
stop_hub
echo "ok: preflights by command and by REST, a tuning that waits"
