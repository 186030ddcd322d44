#!/usr/bin/env bash
# An engine that its builder could not run is verified by a real agent that announces the device: this machine's CPU. The builder
# is played by this script, because on one machine an agent runs what it builds.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
needs_farm

printf 'agents:\n  local: 0\n' >"$work/hub.yaml"
start_hub --config "$work/hub.yaml"
export XINFER_HUB=$url XINFER_TOKEN=$token
agent_token=$(call -XPOST "$url/v1/tokens" -d '{"role":"agent","name":"agent"}' | field token)
echo "$agent_token" >"$work/agent.token"
target=x86-64-v3

protoc --encode=xinfer.onnx.proto.ModelProto -I "$source/src/onnx" onnx.proto >"$work/m.onnx" <<TEXT
ir_version: 8 opset_import { domain: "" version: 17 }
graph { name: "m"
  node { op_type: "Softmax" input: "x" output: "y" }
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: 8 } } } } }
  output { name: "y" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: 8 } } } } }
}
TEXT
json() { tr -d ' \n'; }
build() {
  printf '{"head":"softmax","labels":["%s"]}' "$1" >"$work/metadata"
  "$bin/xinfer-cli" hub build --onnx "$work/m.onnx" --target "$target" --metadata "$work/metadata" --no-wait --json | json | field id
}
agent() { "$bin/ignition-agent" --hub "$url" --token-file "$work/agent.token" --name "$1" --work "$work/$1" --once --jobs 1 "${@:2}" 2>>"$work/agents.log" || fail "agent $1"; }

first=$(build first)
agent builder
engine=$(call "$url/v1/builds/$first" | grep -o '"engine":{[^}]*' | field digest)
[ -n "$engine" ] || fail "no engine: $(call "$url/v1/builds/$first")"
expect 0 hub status "$first"
says "^verified  on x86-64"

# The second build's engine is the first one's, of a builder that says it could not run it.
second=$(build second)
curl -sS --fail-with-body -H "Authorization: Bearer $agent_token" -XPOST "$url/v1/agents/lease" -d "{\"agent\":\"gpuless\",\"targets\":[\"$target\"],\"wait_ms\":0}" >"$work/lease"
curl -sS --fail-with-body -H "Authorization: Bearer $agent_token" -XPOST "$url/v1/agents/jobs/$(field job <"$work/lease")/complete" -d \
  "{\"token\":\"$(field token <"$work/lease")\",\"engine\":\"$engine\",\"report\":{\"verification\":{\"ran\":false,\"reason\":\"not verified on device: this machine does not run it\"}}}"
expect 0 hub status "$second"
says '^verified  no: not verified on device'
agent verifier
expect 0 hub status "$second"
says "^verified  on x86-64"
call "$url/v1/agents" | grep -q '"devices":\[{"architecture":"x86-64' || fail "$(call "$url/v1/agents")"
stop_hub
echo "ok: $(grep ^verified "$work/out")"
