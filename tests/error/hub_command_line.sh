#!/usr/bin/env bash
# ignition-hub and ignition-agent answer mistakes with their exact exit status and message.
set -u
bin=$XI_BINARY_DIR/bin
[ -x "$bin/ignition-hub" ] && [ -x "$bin/ignition-agent" ] || { echo "SKIP: the programs are not built"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# expect STATUS TEXT PROGRAM ARGUMENT...: the program ends with STATUS and its output holds TEXT.
expect() {
  local status=$1 text=$2 output actual
  shift 2
  output=$("$bin/$1" "${@:2}" 2>&1 </dev/null)
  actual=$?
  if [ "$actual" != "$status" ] || [[ "$output" != *"$text"* ]]; then
    echo "FAIL: $*: status $actual ($status expected), '$text' expected in: $output"
    failures=$((failures + 1))
  fi
}

expect 64 "ignition-hub: --data is required; try --help" ignition-hub serve
expect 64 "A subcommand is required" ignition-hub
expect 64 "--no-such" ignition-hub serve --data "$scratch/d" --no-such
expect 0 "Usage:" ignition-hub serve --help
expect 0 "ignition-hub 0." ignition-hub --version
expect 0 "log.format" ignition-hub settings
expect 64 "--jobs" ignition-agent --jobs -1
expect 0 "Usage:" ignition-agent --help
printf 'log: {format: xml}\n' >"$scratch/hub.yaml"
expect 64 'expected text or json, got "xml"' ignition-hub serve --data "$scratch/d" --config "$scratch/hub.yaml"
[ ! -e "$scratch/d" ] || { echo "FAIL: a hub that did not start left a folder"; failures=$((failures + 1)); }
[ "$failures" = 0 ]
