#!/usr/bin/env bash
# xinfer-cli preflight, and the reports of build, inspect and benchmark: counts of known networks, exit statuses, pages that stand alone.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${XI_BINARY_DIR:-$source/build/release}/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache
fail() { echo "FAIL: $*" >&2; cat "$work/out" "$work/err" >&2 2>/dev/null; exit 1; }
expect() {
  local wanted=$1 status=0
  shift
  "$bin/xinfer-cli" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
  [ "$status" = "$wanted" ] || fail "xinfer-cli $*: exit status $status, not $wanted"
}
# holds EXPRESSION: true of the JSON document v in out.
holds() { node -e "const v=JSON.parse(require('fs').readFileSync('$work/out','utf8')); if(!($1)) process.exit(1)" || fail "not so: $1"; }

# Multiply-adds of the published networks: MobileNetV2 has 300.8 million, ResNet-50 has 4.089 thousand million.
"$bin/make_model" mobilenet_v2 "$work/mobilenet.onnx"
"$bin/make_model" resnet50 "$work/resnet.onnx"
expect 0 preflight "$work/mobilenet.onnx" --target x86-64-v3 --target armv8-a --json --launches
holds 'v.supported && v.problems.length === 0 && v.targets.length === 2'
holds 'v.targets.every((t) => t.multiply_adds === 300774272)'
holds 'Math.abs(v.parameters - 3.5e6) < 0.05e6'
holds 'v.targets.every((t) => t.latency_ms.every((l) => 0 < l.low && l.low < l.likely && l.likely < l.high && l.high / l.low < 6))'
holds 'v.targets[0].launch_list.length === v.targets[0].launches && v.targets[0].launch_list.every((l) => l.predicted_us > 0)'
expect 0 preflight "$work/resnet.onnx" --target x86-64-v4 --json
holds 'v.targets[0].multiply_adds === 4089184256 && v.seconds < 60'
expect 0 preflight "$work/mobilenet.onnx" --target x86-64-v3
grep -q 'can be built' "$work/out" || fail "no verdict"

# What cannot be.
expect 65 preflight "$work/mobilenet.onnx" --target x86-64-v3:int8
expect 66 preflight "$work/nowhere.onnx"
expect 66 preflight "$work/mobilenet.onnx" --target rtx_4091
expect 64 preflight "$work/mobilenet.onnx" --shape other=1x2
head -c 100000 "$work/mobilenet.onnx" >"$work/cut.onnx"
expect 76 preflight "$work/cut.onnx"
head -c 5000 /dev/urandom >"$work/noise.onnx"
expect 76 preflight "$work/noise.onnx" --json
holds 'v.error.code === "corrupt"'
expect 76 hub build --onnx "$work/noise.onnx" --target x86-64-v3  # before any hub is asked

command -v clang++-19 >/dev/null || { echo "no clang++-19: reports of built engines are left out"; exit 0; }
# The arena that was foretold is the arena that the engine has.
expect 0 preflight "$work/mobilenet.onnx" --target host --json
arena=$(node -p "JSON.parse(require('fs').readFileSync('$work/out','utf8')).targets[0].arena_bytes")
expect 0 build --onnx "$work/mobilenet.onnx" -o "$work/m.engine" --report "$work/build.html" --json
holds "v.arena_bytes === $arena"
expect 0 preflight "$work/mobilenet.onnx" --target host --json
holds 'v.targets[0].kernels_cached === v.targets[0].kernels'
expect 0 inspect "$work/m.engine" --report "$work/inspect.html" --launches --json
holds 'v.launch_list.length === v.launches && v.launch_list.every((l) => l.reason && l.output)'
holds 'v.launch_list.some((l) => l.kind === "conv depthwise") && v.launch_list.some((l) => l.name.includes("+"))'
expect 0 benchmark "$work/m.engine" --iterations 3 --threads 1 --report "$work/time.html" --json
holds 'v.launches.every((l) => l.median_us >= l.min_us) && Math.abs(v.launches.reduce((s, l) => s + l.share, 0) - 1) < 1e-6'
for page in build inspect time; do
  grep -qE '(src|href)=|https?:|url\(' "$work/$page.html" && fail "$page.html loads something"
  grep -q '<svg' "$work/$page.html" || fail "$page.html has no drawing"
done
grep -q 'Time by launch' "$work/time.html" || fail "no times"
echo "preflight and reports: ok"
