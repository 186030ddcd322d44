#!/usr/bin/env bash
# Rule "docs" of rules.mjs.
exec node tests/style/rules.mjs docs
