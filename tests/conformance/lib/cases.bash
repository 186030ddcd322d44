# For the scripts beside this folder: cases at hand, and counts held against threshold.txt.
# at_least NAME COMMAND...: runs COMMAND, whose last line is `N passed, N failed, N skipped`, and fails when fewer passed or more
# failed than threshold.txt has for NAME. The threshold is what was reached: raise it with every operator that lands.
at_least() {
  local name=$1 log=$XI_BINARY_DIR/conformance_$1.log passed failed line wanted allowed
  shift
  "$@" >"$log" 2>&1 || true
  line=$(tail -1 "$log")
  if [[ ! $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    tail -20 "$log"
    echo "no counts in the last line of $log"
    return 1
  fi
  passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]}
  read -r wanted allowed < <(sed -n "s/^$name //p" "$XI_SOURCE_DIR/tests/conformance/threshold.txt") ||
    { echo "threshold.txt says nothing about $name; now: $line"; return 1; }
  grep -v '^ok ' "$log" | head -400 || true
  echo "$name: $line; threshold: at least $wanted passed, at most $allowed failed"
  [ "$passed" -ge "$wanted" ] && [ "$failed" -le "$allowed" ]
}

# Where the verification material lies: beside the repository, or where XINFER_SHARED says. Not part of the repository.
shared() { echo "${XINFER_SHARED:-$XI_SOURCE_DIR/../shared}"; }

# unpack_cases: prints the folder of the ONNX project's backend cases, unpacked once; fails where the archive is not at hand.
unpack_cases() {
  local archive cases=$XI_BINARY_DIR/conformance digest
  archive=$(shared)/conformance/onnx-backend-open.tar.zst
  [ -f "$archive" ] || { echo "no $archive: skipped" >&2; return 1; }
  exec 8>"$cases.lock"
  flock 8 # two scripts may want them at once
  digest=$(sha256sum "$archive" | cut -c1-64)
  if [ "$(cat "$cases/.digest" 2>/dev/null)" != "$digest" ]; then
    rm -rf "$cases"
    mkdir -p "$cases"
    zstd -dcq "$archive" | tar -xf - -C "$cases"
    echo "$digest" >"$cases/.digest"
  fi
  echo "$cases"
}

# The rows of docs/operators.md for the cases that failed in a log of test-onnx: case and reason.
failure_rows() {
  grep '^FAIL ' "$1" | sed -E 's#^FAIL ([^ ]*/)?([^/ ]+/[^/ ]+): +#\2\t#; s# +# #g; s#\|#/#g; s#^([^\t]*)\t(.*)$#| `\1` | \2 |#' | LC_ALL=C sort
}

# listed_failures NAME: the cases that failed under NAME are those that docs/operators.md lists, no more and no fewer. XI_UPDATE=1
# writes the list. Reasons are not compared: numbers in them differ from machine to machine.
listed_failures() {
  local log=$XI_BINARY_DIR/conformance_$1.log page=$XI_SOURCE_DIR/docs/operators.md names='s/^\| `([^`]+\/test_[^`]+)` \| .*/\1/p'
  if [ "${XI_UPDATE:-}" = 1 ]; then
    failure_rows "$log" | sed -i -E -e '/^\| `[^`]+\/test_/d' -e '/^\| case \| reason \|$/{n;r /dev/stdin
}' "$page"
  fi
  diff <(sed -nE "$names" "$page") <(failure_rows "$log" | sed -nE "$names") ||
    { echo "docs/operators.md lists other failures (<) than there are (>): XI_UPDATE=1 rewrites the list"; return 1; }
}
