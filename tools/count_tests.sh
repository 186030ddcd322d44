#!/usr/bin/env bash
# count_tests.sh FILE: prints `N passed, N failed, N skipped` for ctest's JUnit file; fails when a test failed or none ran.
# A test counts as skipped only where it said so itself (exit status 77, GTEST_SKIP): one that could not start has failed.
set -euo pipefail
file=$1
[ -f "$file" ] || { echo "0 passed, 0 failed, 0 skipped"; exit 1; }
count() { grep -c -- "$1" "$file" || true; }
tests=$(count '<testcase ')
skipped=$(count '<skipped message="SKIP_')
passed=$(count '<testcase .*status="run"')
failed=$((tests - skipped - passed))
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
