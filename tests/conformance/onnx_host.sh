#!/usr/bin/env bash
# The ONNX project's backend cases, where the archive is at hand, on engines built for this machine.
set -euo pipefail
source "$XI_SOURCE_DIR/tests/conformance/lib/cases.bash"
cases=$(unpack_cases) || exit 77
at_least onnx_host "$XI_BINARY_DIR/bin/xinfer-cli" test-onnx --target host "$cases"
listed_failures onnx_host
