#!/usr/bin/env bash
# The images of deploy/containers, built and run: a hub, and agents that build engines in a pod's narrow circumstances.
# No registry is asked: the base image is made from Debian's packages, the programs are the ones built already
# (XI_CONTAINERS_FROM_SOURCE=1 compiles them inside, as a user's build does; that takes as long as ./dev build).
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${XI_BINARY_DIR:-$source/build/release}/bin
skip() { echo "SKIP: $*"; exit 77; }
for tool in buildah podman runc mmdebstrap curl nsenter; do command -v $tool >/dev/null || skip "no $tool (./dev test containers installs it)"; done
[ "$(id -u)" = 0 ] || skip "only root makes containers in this way"
work=$(mktemp -d)
images=(--root "$work/images" --runroot "$work/run" --storage-driver vfs)
run_podman=(podman "${images[@]}" --runtime runc --cgroup-manager cgroupfs)
podman() { command "${run_podman[@]}" "$@"; }
build() {
  buildah "${images[@]}" build --isolation chroot --network host --volume /etc/apt:/etc/apt:ro "$@" >"$work/build.log" 2>&1 ||
    { tail -40 "$work/build.log" >&2; fail "buildah build $*"; }
}
cleanup() {
  podman rm --all --force --time 0 >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAIL: $*" >&2; podman logs hub 2>&1 | tail -20 >&2 || true; exit 1; }

mapfile -t mirrors < <(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null)
mmdebstrap --quiet --variant=minbase bookworm "$work/base.tar" "${mirrors[@]}" 2>"$work/err" ||
  skip "no Debian mirror to make a base image from: $(tail -1 "$work/err")"
podman import --quiet "$work/base.tar" localhost/base:1 >/dev/null 2>"$work/err" || skip "podman keeps no images here: $(tail -1 "$work/err")"
rm "$work/base.tar"
# As narrow as the manifests: nothing writable but /tmp, no capabilities, no way to more, no network.
narrow=(--read-only --cap-drop all --security-opt no-new-privileges --ulimit nofile=1024:1024 --ulimit nproc=4096:4096
  --tmpfs /tmp:rw,exec,mode=1777)
podman run --rm "${narrow[@]}" --network none localhost/base:1 true 2>"$work/err" || skip "podman runs nothing here: $(tail -1 "$work/err")"

arguments=(--file "$source/deploy/containers/Containerfile" --build-arg BASE=localhost/base:1)
if [ -z "${XI_CONTAINERS_FROM_SOURCE:-}" ]; then
  mkdir -p "$work/context/programs"
  for program in ignition-hub ignition-agent xinfer-cli; do install -s -t "$work/context/programs" "$bin/$program"; done
  arguments+=(--build-context "programs=$work/context")
fi
for target in hub agent-cpu cli; do
  build "${arguments[@]}" --target "$target" --tag "localhost/$target:1" "$source"
  echo "$target: $(podman image inspect --format '{{.Size}}' "localhost/$target:1" | awk '{ printf "%d MB", $1 / 1e6 }')"
done
# The operator brings NVRTC; any library under its name shows that the image takes it and the loader finds it.
mkdir "$work/nvrtc"
cp "$(ldconfig -p | awk '/libz\.so\.1 / { print $NF; exit }')" "$work/nvrtc/libnvrtc.so.13"
build "${arguments[@]}" --build-context nvrtc="$work/nvrtc" --target agent-cuda --tag localhost/agent-cuda:1 "$source"
podman run --rm "${narrow[@]}" --network none --entrypoint /bin/sh localhost/agent-cuda:1 -c 'ldconfig -p | grep -q /opt/nvrtc/ && [ "$(id -u)" != 0 ]' ||
  fail "agent-cuda lacks its NVRTC, or runs as root"

version=$(sed -n 's/^project(.* VERSION \([0-9.]*\).*/\1/p' "$source/CMakeLists.txt")
for image in hub agent-cpu cli; do
  said=$(podman run --rm "${narrow[@]}" --network none "localhost/$image:1" --version)
  grep -qF " $version" <<<"$said" || fail "$image says it is '$said', not version $version"
done

echo "a hub, and an agent whose pod is its sandbox"
mkdir -m 777 "$work/data"
printf 'agents: {local: 0}\n' >"$work/hub.yaml"
podman run --detach --name hub "${narrow[@]}" --network none -v "$work/hub.yaml:/etc/ignition-hub/hub.yaml:ro" -v "$work/data:/var/lib/ignition-hub" \
  localhost/hub:1 serve --config /etc/ignition-hub/hub.yaml --data /var/lib/ignition-hub/data --listen 127.0.0.1:8080 >/dev/null
pid=$(podman inspect --format '{{.State.Pid}}' hub)
call() { nsenter --net="/proc/$pid/ns/net" curl -sS --fail-with-body "$@"; }
for _ in $(seq 100); do call http://127.0.0.1:8080/healthz >/dev/null 2>&1 && break; sleep 0.1; done
for probe in healthz readyz; do call "http://127.0.0.1:8080/$probe" >/dev/null || fail "$probe"; done
administrator=$(podman logs hub | grep -o 'ih_administrator_[0-9a-f]*')
admin() { call -H "Authorization: Bearer $administrator" "$@"; }
field() { grep -o "\"$1\":\"[^\"]*\"" | head -1 | cut -d'"' -f4; }
admin http://127.0.0.1:8080/v1/tokens -d '{"role":"agent","name":"pod"}' | field token >"$work/token"
chmod 644 "$work/token"
"$bin/make_model" tiny "$work/tiny.onnx" >/dev/null
digest=$(sha256sum "$work/tiny.onnx" | cut -d' ' -f1)
upload=$(admin http://127.0.0.1:8080/v1/uploads -d "{\"size_bytes\":$(stat -c %s "$work/tiny.onnx"),\"sha256\":\"$digest\"}" | field id)
admin -XPUT --data-binary "@$work/tiny.onnx" "http://127.0.0.1:8080/v1/uploads/$upload?offset=0" >/dev/null
admin -XPOST "http://127.0.0.1:8080/v1/uploads/$upload/complete" >/dev/null

agent() { # agent on|off PODMAN-OPTION...
  local sandbox=$1
  shift
  timeout 300 "${run_podman[@]}" run --rm "${narrow[@]}" "$@" --network container:hub -v "$work/token:/run/secrets/agent/token:ro" localhost/agent-cpu:1 \
    --hub=http://127.0.0.1:8080 --token-file=/run/secrets/agent/token --work=/tmp/work --sandbox="$sandbox" --once >"$work/agent.log" 2>&1
}
build_for() { # build_for TARGET on|off PODMAN-OPTION...
  local build state
  build=$(admin http://127.0.0.1:8080/v1/builds -d "{\"onnx\":\"$digest\",\"target\":\"$1\"}" | field id)
  shift
  agent "$@" || { cat "$work/agent.log" >&2; fail "the agent ended with an error"; }
  state=$(admin "http://127.0.0.1:8080/v1/builds/$build" | field state)
  [ "$state" = succeeded ] || { cat "$work/agent.log" >&2; fail "the build is $state"; }
}
build_for x86-64-v3 off

echo "bubblewrap in a pod: refused with a runtime's defaults, works with what docs/operations.md asks of the nodes"
if agent on; then fail "the sandbox works without preparation: the manifests ask for too much"; fi
grep -q 'no sandbox: bubblewrap does not work here' "$work/agent.log" || { cat "$work/agent.log" >&2; fail "no clear refusal"; }
build_for armv8-a on --security-opt "seccomp=$source/deploy/kubernetes/components/sandboxed-agents/ignition-agent.json" --security-opt unmask=ALL

podman stop --time 20 hub >/dev/null
[ "$(podman inspect --format '{{.State.ExitCode}}' hub)" = 0 ] || fail "the hub did not end cleanly on SIGTERM"
echo "good"
