#!/usr/bin/env bash
# Rule "includes" of rules.mjs.
exec node tests/style/rules.mjs includes
