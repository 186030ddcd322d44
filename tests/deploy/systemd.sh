#!/usr/bin/env bash
# The units of deploy/systemd: systemd accepts them, they are closed as far as they say, and the programs know what they
# are started with.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${XI_BINARY_DIR:-$source/build/release}/bin
command -v systemd-analyze >/dev/null || { echo "SKIP: no systemd-analyze"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAIL: $*" >&2; exit 1; }
units=$source/deploy/systemd

# prepare UNIT: a copy that starts the programs built here; systemd checks that they exist.
prepare() { sed "s#/usr/bin/ignition-#$bin/ignition-#" "$units/$1" >"$work/$1"; }
verify() {
  local said
  said=$(systemd-analyze verify "$work/$1" 2>&1) || { echo "$said"; return 1; }
  # Exit status 0 with a complaint about a key is a complaint.
  if grep -F "$work/$1" <<<"$said"; then return 1; fi
}
# How far a unit is open, from 0 (closed) to 100.
open_to() { systemd-analyze security --offline=yes --no-pager --threshold="$2" "$work/$1" >"$work/security" 2>&1; }

for unit in ignition-hub.service ignition-agent.service; do
  prepare "$unit"
  verify "$unit" || fail "systemd does not accept $unit"
done
open_to ignition-hub.service 15 || fail "ignition-hub.service is more open than 1.5: $(tail -1 "$work/security")"
open_to ignition-agent.service 40 || fail "ignition-agent.service is more open than 4.0: $(tail -1 "$work/security")"

# The checks see what they are for.
prepare ignition-hub.service
echo 'ProtectSystm=strict' >>"$work/ignition-hub.service"
sed -i 's/^NoNewPrivileges=/[Service]\nNoNewPrivilege=/' "$work/ignition-hub.service"
if verify ignition-hub.service >/dev/null; then fail "a planted unknown key was accepted"; fi
prepare ignition-hub.service
sed -i '/^ProtectSystem=\|^PrivateDevices=\|^CapabilityBoundingSet=\|^SystemCallFilter=/d' "$work/ignition-hub.service"
if open_to ignition-hub.service 15; then fail "a unit without protection passed"; fi

# What is started, word by word.
cat >"$work/check.mjs" <<TEXT
import fs from 'node:fs';
import { argumentProblems } from '$source/tests/deploy/lib/arguments.mjs';
import { helpOf } from '$source/tests/deploy/lib/programs.mjs';
let problems = [];
for (const unit of ['ignition-hub', 'ignition-agent']) {
  const words = /^ExecStart=(.*)\$/m.exec(fs.readFileSync('$units/' + unit + '.service', 'utf8'))[1].split(' ');
  problems.push(...argumentProblems(words[0].split('/').pop(), words.slice(1), helpOf));
}
if (!argumentProblems('ignition-agent', ['--no-such'], helpOf).length) problems.push('a planted option was accepted');
if (problems.length) { console.error(problems.join('\\n')); process.exit(1); }
TEXT
node "$work/check.mjs" || fail "command lines"

# The example settings are settings: a hub starts with them.
sed 's/127.0.0.1:8080/127.0.0.1:0/' "$units/hub.yaml" >"$work/hub.yaml"
"$bin/ignition-hub" serve --config "$work/hub.yaml" --data "$work/data" >"$work/log" 2>&1 &
hub=$!
for _ in $(seq 100); do grep -q 'Ignition Hub at' "$work/log" && break; sleep 0.1; done
kill "$hub" && wait "$hub" || true
grep -q 'Ignition Hub at' "$work/log" || { cat "$work/log" >&2; fail "the hub does not start with deploy/systemd/hub.yaml"; }

if command -v systemd-sysusers >/dev/null; then
  mkdir -p "$work/tree/etc"
  systemd-sysusers --root="$work/tree" "$units/ignition-hub.sysusers" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; fail "sysusers"; }
  for user in $(sed -n 's/^User=//p' "$units"/*.service); do grep -q "^$user:" "$work/tree/etc/passwd" || fail "no user $user is made"; done
  # tmpfiles looks its users up in the tree.
  systemd-tmpfiles --root="$work/tree" --create "$units/ignition-hub.tmpfiles" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; fail "tmpfiles"; }
  [ "$(stat -c %a "$work/tree/etc/ignition-hub")" = 750 ] || fail "others may read /etc/ignition-hub"
fi
echo "good"
