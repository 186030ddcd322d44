#!/usr/bin/env bash
# A hub is backed up while builds run, killed, and restored into a new folder: its builds go on there, nothing is missing.
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
fail() { echo "FAIL: $*" >&2; tail -30 "$work"/*.log >&2; exit 1; }
echo 'farm: {lease_ms: 2000}' >"$work/config.yaml"

# start_hub NAME: on the data folder of that name.
start_hub() {
  "$bin/ignition-hub" serve --data "$work/$1" --listen 127.0.0.1:0 --config "$work/config.yaml" >"$work/$1.log" 2>&1 &
  hub=$!
  for _ in $(seq 300); do
    url=$(grep -o 'Ignition Hub at http://[0-9.:]*' "$work/$1.log" | cut -d' ' -f4) && curl -fs "$url/healthz" >/dev/null && return
    kill -0 "$hub" 2>/dev/null || fail "the hub ended"
    sleep 0.1
  done
  fail "the hub does not answer"
}
call() { curl -sS --fail-with-body -H "Authorization: Bearer $token" "$@"; }
field() { grep -o "\"$1\":\"[^\"]*\"" | head -1 | cut -d'"' -f4; }

start_hub old
token=$(grep -o 'ih_administrator_[0-9a-f]*' "$work/old.log")
"$bin/make_model" tiny "$work/tiny.onnx"
digest=$(sha256sum "$work/tiny.onnx" | cut -d' ' -f1)
upload=$(call -XPOST "$url/v1/uploads" -d "{\"size_bytes\":$(stat -c %s "$work/tiny.onnx"),\"sha256\":\"$digest\"}" | field id)
call -XPUT --data-binary "@$work/tiny.onnx" "$url/v1/uploads/$upload?offset=0" >/dev/null
call -XPOST "$url/v1/uploads/$upload/complete" >/dev/null
ids=()
for target in x86-64-v3 x86-64-v4 armv8-a; do
  ids+=("$(call -XPOST "$url/v1/builds" -d "{\"onnx\":\"$digest\",\"target\":\"$target\"}" | field id)")
done
for _ in $(seq 300); do
  call "$url/v1/builds?state=leased" | grep -q '"state":"leased"' && break
  sleep 0.02
done
"$bin/ignition-hub" backup "$work/backup" --data "$work/old" --objects "$work/objects" || fail "no backup"
kill -9 "$hub"
wait "$hub" 2>/dev/null || true

"$bin/ignition-hub" restore "$work/backup" --data "$work/new" --objects "$work/objects" || fail "no restore"
status=0
"$bin/ignition-hub" restore "$work/backup" --data "$work/new" 2>/dev/null || status=$?
[ "$status" = 81 ] || fail "restored over a database that is in use: $status"
mkdir "$work/new/keys"
cp -p "$work/old/keys/engines.ed25519" "$work/new/keys/"
rm -rf "$work/old"
"$bin/ignition-hub" migrate --check --data "$work/new" || fail "the restored database is not migrated"
start_hub new
! grep -q 'Administrator' "$work/new.log" || fail "the restored hub has forgotten its tokens"
for id in "${ids[@]}"; do
  for _ in $(seq 600); do
    state=$(call "$url/v1/builds/$id" | field state)
    [ "$state" = queued ] || [ "$state" = leased ] || break
    sleep 0.2
  done
  [ "$state" = succeeded ] || fail "build $id is $state"
  engine=$(call "$url/v1/builds/$id" | grep -o '"engine":{[^}]*' | field digest)
  [ "$(call -L "$url/v1/engines/$engine" | sha256sum | cut -d' ' -f1)" = "$engine" ] || fail "engine $engine is not whole"
done
"$bin/ignition-hub" gc --dry-run --data "$work/new"
kill "$hub"
wait "$hub" || fail "the hub did not end cleanly"
hub=
