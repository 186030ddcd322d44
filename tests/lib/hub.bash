# For test scripts that run a hub: where the programs are, a folder that goes with the script, a hub that ends with it.
# Gives: $source, $bin, $work, $hub (process), $url, $token (of the administrator, when the hub has just made it).
source=${XI_SOURCE_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
bin=${XI_BINARY_DIR:-$source/build/release}/bin
work=$(mktemp -d)
hub= url= token=
export XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache
unset XINFER_TOKEN XINFER_OFFLINE

clean_up() {
  [ -z "$hub" ] || kill "$hub" 2>/dev/null || true
  [ -z "$hub" ] || wait "$hub" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

fail() {
  echo "FAIL: $*" >&2
  cat "$work/out" "$work/err" >&2 2>/dev/null || true
  tail -40 "$work"/hub*.log >&2 2>/dev/null || true
  exit 1
}

# The script needs a farm that builds; status 77 is SKIP.
needs_farm() {
  bwrap --unshare-all --ro-bind / / true 2>/dev/null || { echo "SKIP: bubblewrap makes no sandbox here"; exit 77; }
  command -v clang++-19 >/dev/null || { echo "SKIP: no clang++-19"; exit 77; }
}

# start_hub [NAME] [ARGUMENT...]: on the data folder $work/data (of NAME: $work/NAME), its log is $work/hub.log (hub-NAME.log).
start_hub() {
  local name=data log=$work/hub.log
  if [ $# -gt 0 ] && [[ $1 != -* ]]; then name=$1 log=$work/hub-$1.log && shift; fi
  local before=0
  [ ! -f "$log" ] || before=$(wc -l <"$log")
  "$bin/ignition-hub" serve --data "$work/$name" --listen 127.0.0.1:0 "$@" >>"$log" 2>&1 &
  hub=$!
  for _ in $(seq 300); do
    url=$(tail -n +$((before + 1)) "$log" | grep -o 'Ignition Hub at https\?://[0-9.:]*' | cut -d' ' -f4) && [ -n "$url" ] && break
    kill -0 "$hub" 2>/dev/null || fail "the hub ended"
    sleep 0.1
  done
  [ -n "$url" ] || fail "the hub does not answer"
  local made
  made=$(tail -n +$((before + 1)) "$log" | grep -o 'ih_administrator_[0-9a-f]*') || true
  [ -z "$made" ] || token=$made
}

# stop_hub: it must end by itself, in good order.
stop_hub() {
  kill "$hub"
  wait "$hub" || fail "the hub did not end cleanly"
  hub=
}

call() { curl -sS --fail-with-body -H "Authorization: Bearer $token" "$@"; }
field() { grep -o "\"$1\":\"[^\"]*\"" | head -1 | cut -d'"' -f4; } # of the JSON on standard input

# await_stage BUILD STAGE: until the hub's events say that the build has come so far.
await_stage() {
  grep -qm1 "\"stage\":\"$2\"" < <(curl -sSN --max-time 600 -H "Authorization: Bearer $token" "$url/v1/builds/$1/events" 2>/dev/null) ||
    fail "build $1 did not come to $2"
}

# expect STATUS ARGUMENT...: runs xinfer-cli, which must end so; its output is in $work/out and $work/err.
expect() {
  local wanted=$1 status=0
  shift
  "$bin/xinfer-cli" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
  [ "$status" = "$wanted" ] || fail "xinfer-cli $*: exit status $status, not $wanted"
}
says() { grep -qE -- "$1" "$work/out" "$work/err" || fail "no '$1' in the answer"; }
