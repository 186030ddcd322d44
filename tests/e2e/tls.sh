#!/usr/bin/env bash
# A hub that speaks HTTPS: clients check its certificate, builds and streams work as without, plain requests get nowhere.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
command -v openssl >/dev/null || { echo "SKIP: no openssl to make a certificate with"; exit 77; }
needs_farm

certificate() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout "$work/$1.key" -out "$work/$1.pem" 2>/dev/null; }
certificate hub
certificate other
printf 'tls:\n  certificate: %s\n  key: %s\n' "$work/hub.pem" "$work/other.key" >"$work/wrong.yaml"
"$bin/ignition-hub" serve --data "$work/wrong" --config "$work/wrong.yaml" --listen 127.0.0.1:0 2>"$work/error" && fail "a key of another certificate was taken"
grep -q "(at tls.key)" "$work/error" || fail "$(cat "$work/error")"

printf 'tls:\n  certificate: %s\n  key: %s\n' "$work/hub.pem" "$work/hub.key" >"$work/hub.yaml"
start_hub --config "$work/hub.yaml"
[ "${url%%:*}" = https ] || fail "the hub tells no https address"
curl -fs --cacert "$work/hub.pem" "$url/healthz" >/dev/null || fail "no answer over TLS"
curl -s --max-time 5 "http://${url#https://}/healthz" >/dev/null && fail "a plain request was answered"
export XINFER_TOKEN=$token XINFER_HUB=$url
"$bin/xinfer-cli" hub status 2>"$work/error" && fail "a certificate of nobody was taken"
grep -qi "certificate" "$work/error" || fail "$(cat "$work/error")"
export XINFER_CA_FILE=$work/hub.pem

protoc --encode=xinfer.onnx.proto.ModelProto -I "$source/src/onnx" onnx.proto >"$work/m.onnx" <<TEXT
ir_version: 8 opset_import { domain: "" version: 17 }
graph { name: "m"
  node { op_type: "Softmax" input: "x" output: "y" }
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: 8 } } } } }
  output { name: "y" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: 8 } } } } }
}
TEXT
"$bin/xinfer-cli" hub build --onnx "$work/m.onnx" --target x86-64-v3 -o "$work/m.engine" --json >"$work/build.json" || fail "the build failed"
digest=$(sha256sum "$work/m.engine" | cut -d' ' -f1)
grep -q "$digest" "$work/build.json" || fail "the engine came damaged"
id=$(grep -o 'build_[0-9a-f]*' "$work/build.json" | head -1)
"$bin/xinfer-cli" hub logs "$id" | grep -q succeeded || fail "the event stream"
# The stream's end is told, not cut: curl would complain.
curl -fsSN --cacert "$work/hub.pem" -H "Authorization: Bearer $XINFER_TOKEN" "$url/v1/builds/$id/events" >"$work/events" || fail "the stream was cut"
curl -fsS --cacert "$work/hub.pem" -r 100-199 -H "Authorization: Bearer $XINFER_TOKEN" "$url/v1/engines/$digest" | cmp - <(dd if="$work/m.engine" bs=1 skip=100 count=100 2>/dev/null) || fail "a range"
for version in 1.0 1.1; do
  curl -s --max-time 5 --cacert "$work/hub.pem" --tls-max "$version" "$url/healthz" >/dev/null && fail "TLS $version was spoken"
done
stop_hub
echo "ok: $id"
