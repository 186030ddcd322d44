#!/usr/bin/env bash
# All cases of the API once more, on real servers (PostgreSQL, the S3 of Ceph, RabbitMQ), and those that need them.
set -euo pipefail
source=${XI_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
program=${XI_BINARY_DIR:-$source/build/release}/tests/api_server
command -v node >/dev/null || { echo "SKIP: no node"; exit 77; }
[ -x "$program" ] || { echo "$program is not built" >&2; exit 1; }
exec node "$source/tests/lib/with_servers.mjs" postgresql,s3,rabbitmq "$program" --gtest_brief=1
