#!/usr/bin/env bash
# The alerts of deploy/prometheus: Prometheus accepts them, each fires when it should, and none does on a farm that works.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
command -v promtool >/dev/null || { echo "SKIP: no promtool"; exit 77; }
promtool check rules "$source/deploy/prometheus/alerts.yaml"
promtool test rules "$source/tests/deploy/alerts_test.yaml"
