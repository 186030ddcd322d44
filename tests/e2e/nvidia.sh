#!/usr/bin/env bash
# Engines for every NVIDIA target on a machine that needs no GPU: by one command, and by a hub's farm in its sandbox.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"

expect 0 targets
if ! grep -qE '^sm_90a +(builds|runs here)' "$work/out"; then
  says 'unavailable: .*NVRTC'
  echo "SKIP: no NVRTC"
  exit 77
fi
"$bin/make_model" tiny "$work/tiny.onnx"

echo "eight targets, one command"
expect 0 build --onnx "$work/tiny.onnx" --target t4,a100,rtx_3090,jetson_orin,rtx_4090,h100,b200,rtx_5090 --precision fp16 -o "$work/tiny.engine"
for pair in t4:sm_75 a100:sm_80 rtx_3090:sm_86 jetson_orin:sm_87 rtx_4090:sm_89 h100:sm_90a b200:sm_100 rtx_5090:sm_120; do
  expect 0 inspect --launches "$work/tiny.${pair%:*}.engine"
  says "target +${pair#*:}:fp16"
  says '[0-9]+ x +[0-9]+ threads'
done

echo "the same inputs give the same bytes"
expect 0 build --onnx "$work/tiny.onnx" --target h100:fp16 --no-cache -o "$work/again.engine"
cmp "$work/again.engine" "$work/tiny.h100.engine" || fail "two builds differ"

if ! ldconfig -p | grep -q libcuda.so.1; then
  echo "without a driver, the answer says what is missing"
  expect 69 benchmark "$work/tiny.h100.engine"
  says 'the engine needs sm_90a .*: this machine has no NVIDIA driver'
  expect 0 inspect "$work/tiny.h100.engine"
  says 'does not run on this machine'
  says "verified +not verified on device"
fi

bwrap --unshare-all --ro-bind / / true 2>/dev/null || { echo "SKIP of the farm: bubblewrap makes no sandbox here"; exit 0; }
echo "the farm builds it too"
start_hub
export XINFER_HUB=$url XINFER_TOKEN=$token
expect 0 hub build --onnx "$work/tiny.onnx" --target h100:fp16 -o "$work/farm.engine"
expect 0 hub trust --yes
expect 0 inspect "$work/farm.engine"
says 'target +sm_90a:fp16'
echo "all as it should be"
