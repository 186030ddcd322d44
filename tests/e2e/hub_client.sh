#!/usr/bin/env bash
# xinfer-cli hub against a real hub: what each command answers, its exit status, and what the cache can do alone.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${XI_BINARY_DIR:-$source/build/release}/bin
bwrap --unshare-all --ro-bind / / true 2>/dev/null || { echo "SKIP: bubblewrap makes no sandbox here"; exit 77; }
command -v clang++-19 >/dev/null || { echo "SKIP: no clang++-19"; exit 77; }
work=$(mktemp -d)
hub=
cleanup() {
  [ -z "$hub" ] || kill "$hub" 2>/dev/null || true
  [ -z "$hub" ] || wait "$hub" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAIL: $*" >&2; cat "$work/out" "$work/err" >&2 2>/dev/null; tail -20 "$work/hub.log" >&2; exit 1; }

export XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache
unset XINFER_TOKEN XINFER_OFFLINE

# expect STATUS ARGUMENT...: runs xinfer-cli, output in out and err.
expect() {
  local wanted=$1 status=0
  shift
  "$bin/xinfer-cli" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
  [ "$status" = "$wanted" ] || fail "xinfer-cli $*: exit status $status, not $wanted"
}
says() { grep -qE -- "$1" "$work/out" "$work/err" || fail "no '$1' in the answer"; }
# field PATH: of the JSON document in out.
field() { node -e "const v=JSON.parse(require('fs').readFileSync('$work/out','utf8'))$1; console.log(typeof v==='object'?JSON.stringify(v):v)"; }

"$bin/ignition-hub" serve --data "$work/data" --listen 127.0.0.1:0 >"$work/hub.log" 2>&1 &
hub=$!
for _ in $(seq 300); do
  XINFER_HUB=$(grep -o 'Ignition Hub at http://[0-9.:]*' "$work/hub.log" | cut -d' ' -f4) && break
  kill -0 "$hub" 2>/dev/null || fail "the hub ended"
  sleep 0.1
done
export XINFER_HUB
token=$(grep -o 'ih_administrator_[0-9a-f]*' "$work/hub.log")
"$bin/make_model" tiny "$work/tiny.onnx"

echo "reading needs no token"
expect 0 hub list --json
[ "$(field .models.length)" -ge 20 ] || fail "fewer than 20 models"
expect 0 hub search ocr
says '^ppocrv4-rec '
expect 0 hub targets
says '^x86-64-v3 '
expect 66 hub download no-such-model --target x86-64-v3
expect 66 hub download yolox-nano-coco --target rtx_409
says 'rtx_4090'

echo "building does"
expect 79 hub build --onnx "$work/tiny.onnx" --target x86-64-v3
says 'hub login'
expect 79 hub download ppocr-cls --target x86-64-v3
expect 79 hub login --token ih_administrator_wrong
printf '%s\n' "$token" | "$bin/xinfer-cli" hub login >/dev/null
[ "$(stat -c %a "$work/config/xinfer/token")" = 600 ] || fail "others can read the token"

echo "a build, and the same once more"
expect 64 hub build --target x86-64-v3
expect 0 hub build --onnx "$work/tiny.onnx" --target x86-64-v3 --json -o "$work/tiny.engine"
build=$(field .id)
[ "$(field .state)" = succeeded ] || fail "not succeeded"
[ "$(sha256sum "$work/tiny.engine" | cut -d' ' -f1)" = "$(field .engine.digest)" ] || fail "another file"
expect 0 hub build --onnx "$work/tiny.onnx" --target x86-64-v3 --json
[ "$(field .cached)" = true ] || fail "built twice"
expect 0 hub status "$build"
says 'state +succeeded'
expect 0 hub status
says "^$build "
expect 0 hub logs "$build"
says '^-- succeeded'
expect 81 hub cancel "$build"
expect 66 hub status no-such-build

echo "what cannot be built says why"
head -c 1000 /dev/urandom >"$work/noise.onnx"
status=0
"$bin/xinfer-cli" hub build --onnx "$work/noise.onnx" --target x86-64-v3 >"$work/out" 2>"$work/err" || status=$?
[ "$status" != 0 ] || fail "noise was built"
says 'failed \(invalid_model\)'

echo "nothing signed by a stranger runs"
expect 77 inspect "$work/tiny.engine"
expect 64 hub trust
says '--yes'
expect 0 hub trust --yes --json
[ "$(field .added)" = true ] || fail "not added"
expect 0 inspect "$work/tiny.engine"

echo "a model of one's own, from the cache when the hub is gone"
expect 0 hub push --onnx "$work/tiny.onnx" --id my-tiny --task test
expect 0 hub download my-tiny --target x86-64-v3 --json
path=$(field .path)
expect 0 inspect "$path"
says my-tiny
kill "$hub" && wait "$hub" || true
hub=
expect 0 hub download my-tiny --target x86-64-v3
expect 0 hub download my-tiny --target x86-64-v3 --offline
expect 69 hub download my-tiny --target x86-64-v3 --refresh
expect 66 hub download my-tiny --target x86-64-v4 --offline
echo "good"
