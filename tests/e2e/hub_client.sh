#!/usr/bin/env bash
# xinfer-cli hub against a real hub: what each command answers, its exit status, and what the cache can do alone.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
needs_farm

# field PATH: of the JSON document in out.
field() { node -e "const v=JSON.parse(require('fs').readFileSync('$work/out','utf8'))$1; console.log(typeof v==='object'?JSON.stringify(v):v)"; }

start_hub
export XINFER_HUB=$url
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
says 'forecast +build [0-9.]+ s .*latency [0-9.]+ ms'
says '^-- succeeded'
expect 81 hub cancel "$build"
expect 66 hub status no-such-build

echo "ranges with profiles, whose plans the engine has"
protoc --encode=xinfer.onnx.proto.ModelProto -I "$source/src/onnx" onnx.proto >"$work/rows.onnx" <<'TEXT'
ir_version: 8 opset_import { domain: "" version: 17 }
graph { name: "rows"
  node { op_type: "Softmax" input: "x" output: "y" }
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_param: "n" } dim { dim_value: 24 } } } } }
  output { name: "y" type { tensor_type { elem_type: 1 } } }
}
TEXT
ranged=(hub build --onnx "$work/rows.onnx" --target x86-64-v3 --shape x=1:4:64x24)
expect 64 "${ranged[@]}" --profile x=128x24
says 'profiles lie inside'
expect 0 "${ranged[@]}" --profile x=1x24 --profile x=8:8:16x24 --json -o "$work/rows.engine"
[ "$(field .profiles)" = '[{"x":[1,24]},{"x":["8:8:16",24]}]' ] || fail "other profiles"
expect 0 inspect "$work/rows.engine" --allow-unsigned --trust-key "$(curl -fsS "$url/v1/keys" | grep -o '[0-9a-f]\{64\}')" --json
[ "$(field .profiles.length)" = 2 ] || fail "an engine without its profiles"
expect 0 hub build --onnx "$work/rows.onnx" --target x86-64-v3 --shape x=1:4:64x24 --no-wait --json
[ "$(field .cached)" = false ] || fail "an engine with profiles for one without"

echo "what cannot be built says why"
head -c 1000 /dev/urandom >"$work/noise.onnx"
status=0
"$bin/xinfer-cli" hub build --onnx "$work/noise.onnx" --target x86-64-v3 --no-preflight >"$work/out" 2>"$work/err" || status=$?
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
