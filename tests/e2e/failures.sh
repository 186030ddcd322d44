#!/usr/bin/env bash
# Builds that fail, by a real agent in its sandbox: what it was is told apart, in words for people and as a code for programs.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
needs_farm

printf 'agents:\n  local: 0\n' >"$work/hub.yaml"
start_hub --config "$work/hub.yaml"
export XINFER_HUB=$url XINFER_TOKEN=$token
call -XPOST "$url/v1/tokens" -d '{"role":"agent","name":"agent"}' | field token >"$work/agent.token"

# model NAME NODES...: nodes from x[4,8] to y[4,8].
model() {
  protoc --encode=xinfer.onnx.proto.ModelProto -I "$source/src/onnx" onnx.proto >"$work/$1.onnx" <<TEXT
ir_version: 8 opset_import { domain: "" version: 17 } opset_import { domain: "com.example" version: 1 }
graph { name: "$1"
  $2
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: 8 } } } } }
  output { name: "y" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: 8 } } } } }
}
TEXT
}
model good 'node { op_type: "Softmax" input: "x" output: "y" }'
# A gigabyte on the way, which the comparison with the reference holds.
model large 'node { op_type: "Expand" input: "x" input: "s" output: "a" }
  node { op_type: "ReduceMax" input: "a" output: "y" attribute { name: "axes" type: INTS ints: 0 } attribute { name: "keepdims" type: INT i: 0 } }
  initializer { name: "s" data_type: 7 dims: 3 int64_data: 8388608 int64_data: 4 int64_data: 8 }'
# Dozens of kernels, one after the other with --jobs 1: its compilation takes many times what the cases below wait for.
"$bin/make_model" mobilenet_v2 "$work/long.onnx"
model unknown 'node { op_type: "Frobnicate" domain: "com.example" input: "x" output: "y" }'

ask() {
  expect 0 hub build --onnx "$work/$1.onnx" --target x86-64-v3 --no-wait --no-preflight --json
  tr -d ' \n' <"$work/out" | field id >"$work/id"
}
start_agent() { exec "$bin/ignition-agent" --hub "$url" --token-file "$work/agent.token" --name agent --jobs 1 --once "$@" 2>>"$work/agent.log"; }
agent() { (start_agent --work "$work/agent" "$@") || fail "the agent"; }
# is KIND CODE WORDS: how the build has ended.
is() {
  expect 0 hub status "$(cat "$work/id")" --json
  local json
  json=$(tr -d '\n' <"$work/out" | sed 's/": /":/g')
  grep -q '"state":"failed"' <<<"$json" || fail "not failed"
  grep -q "\"kind\":\"$1\"" <<<"$json" || fail "not of kind $1"
  grep -q "\"code\":\"$2\"" <<<"$json" || fail "not with code $2"
  expect 0 hub status "$(cat "$work/id")"
  says "^error +$1: .*$3"
}

ask unknown && agent
is invalid_model unsupported 'no such operator known in the domain'
says 'com.example.Frobnicate'

ask large && agent --memory-bytes $((800 << 20))
is out_of_memory out_of_memory 'memory'

ask long && agent --time-ms 1000
is time_out timeout 'longer than its agent allows, 1.0 s.*--time-ms'

# Nothing that a model holds crashes the compiler, as far as is known: a signal from outside stands for a bug.
ask long
start_agent --work "$work/other-agent" & # a cache of its own: nothing is compiled yet
agent=$!
await_stage "$(cat "$work/id")" compile
# The last descendant of the agent that is the job (not the compilers that it starts).
pid=$agent
while child=$(pgrep -P "$pid" -f 'program job /job'); do pid=${child%%$'\n'*}; done
[ "$pid" != "$agent" ] || fail "no build was seen"
kill -SEGV "$pid"
wait "$agent" || fail "the agent"
is crash internal 'crashed \(signal 11.*bug of ours'

# None of them hurts the agent: the next build succeeds.
ask good && agent
expect 0 hub status "$(cat "$work/id")"
says '^state +succeeded'
stop_hub
echo "ok: invalid_model, out_of_memory, time_out, crash"
