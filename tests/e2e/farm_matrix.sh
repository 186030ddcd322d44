#!/usr/bin/env bash
# Organisations and tokens made while the hub runs; one request for several targets, shared fairly between organisations.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
needs_farm

printf 'agents:\n  local: 2\n' >"$work/hub.yaml"
start_hub --config "$work/hub.yaml"
export XINFER_HUB=$url
admin() { "$bin/ignition-hub" admin "$@" --data "$work/data"; }

admin create-org lab --weight 3 >/dev/null
admin create-org lab --weight 3 2>"$work/error" && fail "an organisation was made twice"
grep -q 'organisation "lab" exists already' "$work/error" || fail "$(cat "$work/error")"
admin create-token --org nobody --scope developer 2>"$work/error" && fail "a token of no organisation"
grep -q 'no organisation "nobody"' "$work/error" || fail "$(cat "$work/error")"
admin set-org lab --running-quota 5
admin list-orgs | grep -Eq '^lab +3 +5$' || fail "$(admin list-orgs)"
XINFER_TOKEN=$(admin create-token --org lab --scope developer --expires 1d --name ci 2>/dev/null)
export XINFER_TOKEN
# A running hub learns of it within queue.poll_ms.
for _ in $(seq 100); do
  "$bin/xinfer-cli" hub status >/dev/null 2>&1 && break
  sleep 0.2
done

protoc --encode=xinfer.onnx.proto.ModelProto -I "$source/src/onnx" onnx.proto >"$work/m.onnx" <<TEXT
ir_version: 8 opset_import { domain: "" version: 17 }
graph { name: "m"
  node { op_type: "Softmax" input: "x" output: "y" }
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: 8 } } } } }
  output { name: "y" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: 8 } } } } }
}
TEXT
trace=0af7651916cd43dd8448eb211c80319c
out=$(TRACEPARENT=00-$trace-b7ad6b7169203331-01 "$bin/xinfer-cli" hub build --onnx "$work/m.onnx" --target x86-64-v3,x86-64-v4,armv8-a) || fail "the matrix failed: $out"
[ "$(grep -c succeeded <<<"$out")" = 4 ] || fail "three rows and the sum: $out" # the last line says it of the whole
matrix=$(grep -o 'matrix_[0-9a-f]*' <<<"$out")
"$bin/xinfer-cli" hub status "$matrix" --json | grep -q '"state": *"succeeded"' || fail "status of a matrix"
[ "$(grep -c "job succeeded.*trace=$trace" "$work/hub.log")" = 3 ] || fail "the agents do not carry the trace on"
"$bin/xinfer-cli" hub build --onnx "$work/m.onnx" --target x86-64-v3,nonsense 2>"$work/error" && fail "an unknown target was taken"
grep -q nonsense "$work/error" || fail "$(cat "$work/error")"

token_id=$(admin list-tokens | awk '$2 == "lab" { print $1 }')
admin revoke-token "$token_id"
for _ in $(seq 100); do
  "$bin/xinfer-cli" hub status >/dev/null 2>&1 || break
  sleep 0.2
done
"$bin/xinfer-cli" hub status 2>"$work/error" && fail "a revoked token still opens the door"
stop_hub
echo "ok: $matrix"
