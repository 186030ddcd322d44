#!/usr/bin/env bash
# Rule "operators" of rules.mjs.
exec node tests/style/rules.mjs operators
