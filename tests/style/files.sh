#!/usr/bin/env bash
# Rule "files" of rules.mjs.
exec node tests/style/rules.mjs files
