#!/usr/bin/env bash
# The demonstration on what npm carries: text read, faces found, as expected; and nothing left running.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${XI_BINARY_DIR:-$source/build/release}/bin
[ -d "$source/node_modules/pls-img-txt" ] || { echo "SKIP: no node_modules: run ./dev setup"; exit 77; }
bwrap --unshare-all --ro-bind / / true 2>/dev/null || { echo "SKIP: bubblewrap makes no sandbox here"; exit 77; }
command -v clang++-19 >/dev/null || { echo "SKIP: no clang++-19"; exit 77; }
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
"$bin/xinfer-demo" --output "$output"
for picture in page.png sample6-blazeface-back.jpg; do
  [ -s "$output/$picture" ] || { echo "no $picture" >&2; exit 1; }
done
address=$(grep -o 'Ignition Hub at http://[0-9.:]*' "$output/hub/hub.out" | cut -d' ' -f4)
if curl -s -o /dev/null --max-time 5 "$address/healthz"; then
  echo "the hub still runs" >&2
  exit 1
fi
