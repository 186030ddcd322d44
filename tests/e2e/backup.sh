#!/usr/bin/env bash
# A hub is backed up while builds run, killed, and restored into a new folder: its builds go on there, nothing is missing.
set -euo pipefail
source "${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/hub.bash"
needs_farm
echo 'farm: {lease_ms: 2000}' >"$work/config.yaml"

start_hub old --config "$work/config.yaml"
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
start_hub new --config "$work/config.yaml"
! grep -q 'Administrator' "$work/hub-new.log" || fail "the restored hub has forgotten its tokens"
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
