# xinfer-cli answers mistakes with its exact exit status and message, as text and as JSON.
set -u
cli=$XI_BINARY_DIR/bin/xinfer-cli
[ -x "$cli" ] || { echo "SKIP: xinfer-cli is not built"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export XDG_CONFIG_HOME=$scratch/config XDG_CACHE_HOME=$scratch/cache
engine=$XI_SOURCE_DIR/tests/compat/runtime/engines/format-1.engine
key=$XI_SOURCE_DIR/tests/compat/runtime/engines/format-1.pub
failures=0

# expect STATUS TEXT ARGUMENT...: the command ends with STATUS and its output holds TEXT.
expect() {
  local status=$1 text=$2 output actual
  shift 2
  output=$("$cli" "$@" 2>&1 </dev/null)
  actual=$?
  if [ "$actual" != "$status" ]; then
    echo "FAIL: $*: status $actual, $status expected; output: $output"
    failures=$((failures + 1))
  elif [[ "$output" != *"$text"* ]]; then
    echo "FAIL: $*: '$text' is not in: $output"
    failures=$((failures + 1))
  fi
}

# Usage.
expect 64 "there is no command 'frobnicate'" frobnicate
expect 64 "A subcommand is required" --
expect 64 "file is required" inspect
expect 64 "--onnx is required" build -o "$scratch/a.engine"
expect 64 "--iterations" benchmark "$engine" --iterations 0
expect 64 "--threads" benchmark "$engine" --threads 5000
expect 64 "excludes" benchmark "$engine" --iterations 5 --seconds 1
expect 0 "Examples:" build --help
for command in build run benchmark inspect verify test-onnx targets keys; do expect 0 "Usage: xinfer-cli" "$command" --help; done
expect 0 "xinfer-cli 0." --version

# Targets.
expect 66 "unknown target 'rtx_4091'; did you mean rtx_4090" build --onnx "$engine" --target rtx_4091 -o "$scratch/a.engine"
expect 65 "sm_75: this hardware has no bfloat16" build --onnx "$engine" --target t4 --precision bf16 -o "$scratch/a.engine"
expect 65 "sm_90a: precision int8 is not supported" build --onnx "$engine" --target h100:int8 -o "$scratch/a.engine"
expect 65 "precision int8 is not supported on CPU targets" build --onnx "$engine" --target host --precision int8 -o "$scratch/a.engine"
expect 64 "unknown precision 'fp13'" build --onnx "$engine" --target host:fp13 -o "$scratch/a.engine"
expect 0 "x86-64-v4" targets
expect 0 '"aliases"' targets --json

# Models and shapes.
expect 66 "nonexistent.onnx" build --onnx "$scratch/nonexistent.onnx" -o "$scratch/a.engine"
expect 76 "" build --onnx "$engine" -o "$scratch/a.engine"
expect 64 "--shape image: NAME=SIZExSIZE is needed" build --onnx "$engine" --shape image -o "$scratch/a.engine"
expect 64 "is no list of sizes like 1x3x224x224" build --onnx "$engine" --shape image=1x -o "$scratch/a.engine"
expect 64 "--key excludes --unsigned" build --onnx "$engine" --key "$scratch/k" --unsigned -o "$scratch/a.engine"
[ ! -e "$scratch/a.engine" ] || { echo "FAIL: a failed build wrote its engine"; failures=$((failures + 1)); }

# Engines: whole, foreign, damaged.
expect 77 "which is not trusted here" verify "$engine"
expect 77 "which is not trusted here" inspect --allow-unsigned "$engine"
expect 0 "whole, signed by trusted key ed25519:" verify --trust-key "$key" "$engine"
expect 0 '"verified": true' verify --trust-key "$key" "$engine" --json
expect 0 "add_chain" inspect --launches --trust-key "$key" "$engine"
expect 66 "cannot open" verify "$scratch/nonexistent.engine"
expect 76 "this is not an engine file" verify "$key"
head -c 9000 "$engine" >"$scratch/short.engine"
expect 76 "the engine is truncated: 9000 of" verify "$scratch/short.engine"
(cat "$engine" && printf x) >"$scratch/long.engine"
expect 76 "the engine has 1 bytes behind its end" verify "$scratch/long.engine"
for at in 24 150 5000 9000 13000 17000 20600; do
  cp "$engine" "$scratch/flip.engine"
  byte=$(od -An -tu1 -j "$at" -N 1 "$engine")
  printf "$(printf '\\%03o' $((byte ^ 16)))" | dd of="$scratch/flip.engine" bs=1 seek="$at" conv=notrunc status=none
  expect 76 "the engine is damaged in its" verify --trust-key "$key" "$scratch/flip.engine"
done
expect 76 '"code": "corrupt"' verify --json "$key"
expect 64 "is no public key" verify --trust-key "$engine" "$engine"

# Running.
expect 64 "the engine has no input 'z'; it has x" run "$engine" --trust-key "$key" --input z=a.npy
expect 64 "inputs are read from .npy, .pb" run "$engine" --trust-key "$key" --input x=a.mp3
expect 66 "cannot open" run "$engine" --trust-key "$key" --input "x=$scratch/none.npy"
expect 76 "this is no .npy file" run "$engine" --trust-key "$key" --input "x=$(cp "$key" "$scratch/bad.npy" && echo "$scratch/bad.npy")"

# Test cases.
expect 66 "is no folder" test-onnx "$scratch/none"
expect 66 "no case found" test-onnx "$XI_SOURCE_DIR/cmake"
expect 66 "unknown target" test-onnx --target rtx_4091 "$XI_SOURCE_DIR/cmake"
mkdir -p "$scratch/case/test_data_set_0" && cp "$key" "$scratch/case/model.onnx"
expect 1 "0 passed, 1 failed, 0 skipped" test-onnx --target reference "$scratch/case"

# Keys: made once, private, trusted by name.
expect 0 "secret key in $scratch/team.key" keys generate "$scratch/team"
expect 81 "exists already" keys generate "$scratch/team"
[ "$(stat -c %a "$scratch/team.key")" = 600 ] || { echo "FAIL: the secret key is readable by others"; failures=$((failures + 1)); }
expect 0 "is trusted now" keys trust "$key" --comment "the fixture's"
expect 0 "whole, signed by trusted key" verify "$engine"
id=$("$cli" keys list | grep "$(cat "$key")" | cut -d' ' -f1)
expect 0 "is not trusted any more" keys forget "$id"
expect 77 "which is not trusted here" verify "$engine"
expect 66 "no trusted key" keys forget "$id"

[ "$failures" = 0 ] || { echo "$failures failures"; exit 1; }
echo "all answers as they should be"
