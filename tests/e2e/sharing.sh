#!/usr/bin/env bash
# What agents share through the hub: kernels that one has compiled another does not compile again, outputs of the reference that
# one has computed another does not compute again, within an organisation;
# a model is fetched once by an agent; tuning records of the organisation change what agents build.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
needs_farm

printf 'agents:\n  local: 0\n' >"$work/hub.yaml"
start_hub --config "$work/hub.yaml"
export XINFER_HUB=$url XINFER_TOKEN=$token
administrator=$token
call -XPOST "$url/v1/tokens" -d '{"role":"agent","name":"agent"}' | field token >"$work/agent.token"
lab=$(call -XPOST "$url/v1/tokens" -d '{"role":"developer","organisation":"lab","name":"lab"}' | field token)

protoc --encode=xinfer.onnx.proto.ModelProto -I "$source/src/onnx" onnx.proto >"$work/m.onnx" <<TEXT
ir_version: 8 opset_import { domain: "" version: 17 }
graph { name: "m"
  node { op_type: "MatMul" input: "x" input: "x" output: "a" }
  node { op_type: "Softmax" input: "a" output: "y" }
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 8 } dim { dim_value: 8 } } } } }
  output { name: "y" type { tensor_type { elem_type: 1 shape { dim { dim_value: 8 } dim { dim_value: 8 } } } } }
}
TEXT
# agent NAME: does one job.
agent() { "$bin/ignition-agent" --hub "$url" --token-file "$work/agent.token" --name "$1" --work "$work/$1" --once --jobs 1 2>>"$work/agents.log" || fail "agent $1"; }
# build LABEL TARGET: requests a build that differs from others by its metadata alone, so that its kernels are theirs.
build() {
  printf '{"head":"softmax","labels":["%s"]}' "$1" >"$work/metadata"
  "$bin/xinfer-cli" hub build --onnx "$work/m.onnx" --target "$2" --metadata "$work/metadata" --no-wait --json >"$work/$1" || fail "build $1"
}
result() { "$bin/xinfer-cli" hub status "$(field id <"$work/$1")" --json >"$work/$1.result" 2>&1 || fail "status of $1"; tr -d ' \n' <"$work/$1.result"; }
# How many kernels a build compiled.
compiled() { result "$1" | grep -o '"kernels_compiled":[0-9]*' | cut -d: -f2; }
field() { tr -d ' \n' | grep -o "\"$1\":\"[^\"]*\"" | head -1 | cut -d'"' -f4; }

build one x86-64-v3 && agent first
first=$(compiled one)
[ "$first" -ge 2 ] || fail "the first build compiled nothing: $(result one)"
build two x86-64-v3 && agent second
[ "$(compiled two)" = 0 ] || fail "the second agent compiled $(compiled two) kernels again: $(result two)"
"$bin/xinfer-cli" hub logs "$(field id <"$work/two")" >"$work/log"
grep -Eq '([0-9]+) of \1 kernels to compile were on the hub' "$work/log" || fail "$(cat "$work/log")"

"$bin/xinfer-cli" hub logs "$(field id <"$work/one")" | grep -q 'the reference took' || fail "the first build computed no reference"
grep -Eq '([0-9]+) of \1 outputs of the reference to compute were on the hub' "$work/log" || fail "$(cat "$work/log")"
grep -q "the reference's outputs were known" "$work/log" || fail "$(cat "$work/log")"

# Another organisation compiles its own: what one tenant's build has written, no other runs.
XINFER_TOKEN=$lab
build three x86-64-v3 && agent third
[ "$(compiled three)" = "$first" ] || fail "kernels crossed from one organisation to another"
XINFER_TOKEN=$administrator

# An agent fetches the model of a matrix once.
"$bin/xinfer-cli" hub build --onnx "$work/m.onnx" --target x86-64-v4,armv8-a --no-wait >/dev/null || fail "the matrix was refused"
agent fourth && agent fourth
[ "$(ls "$work/fourth/models" | wc -l)" = 1 ] || fail "models kept: $(ls "$work/fourth/models")"
fetched=$(call "$url/metrics" | grep 'xinfer_http_requests_total{route="/v1/agents/jobs/{id}/input".*status="206"' | grep -o '[0-9]*$')
[ "$fetched" = 4 ] || fail "the model was fetched $fetched times for five builds by four agents"

stop_hub
echo "ok: $first kernels compiled and a reference computed by the first agent, none by the second"
