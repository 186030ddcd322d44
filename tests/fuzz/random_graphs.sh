#!/usr/bin/env bash
# A few random graphs, the same in every run; `./dev fuzz random_graphs SECONDS` goes on with others.
set -euo pipefail
"$XI_BINARY_DIR/bin/random_graphs" --seed 1 --count 12
