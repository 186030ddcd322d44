#!/usr/bin/env bash
# Rule "packages" of rules.mjs.
exec node tests/style/rules.mjs packages
