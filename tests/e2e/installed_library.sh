#!/usr/bin/env bash
# A program outside of this repository builds against the installed library, through find_package and through pkg-config, in C++17,
# and every public header compiles alone.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
cmake --install "$XI_BINARY_DIR" --prefix "$prefix" >"$scratch/install.log" || { cat "$scratch/install.log"; exit 1; }

echo "find_package"
cmake -S "$XI_SOURCE_DIR/tests/e2e/consumer" -B "$scratch/consumer" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_STANDARD=17 >"$scratch/cmake.log" ||
  { cat "$scratch/cmake.log"; exit 1; }
cmake --build "$scratch/consumer" >"$scratch/build.log" || { cat "$scratch/build.log"; exit 1; }
host=$("$scratch/consumer/consumer")
echo "host target: $host"
[ -n "$host" ]

echo "pkg-config"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
# shellcheck disable=SC2046 # several words
g++ -std=c++17 "$XI_SOURCE_DIR/tests/e2e/consumer/main.cpp" -o "$scratch/by_pkg_config" $(pkg-config --cflags --libs xinfer)
[ "$(LD_LIBRARY_PATH=$prefix/lib "$scratch/by_pkg_config")" = "$host" ]

echo "the C interface"
# shellcheck disable=SC2046 # several words
gcc -std=c11 -Wall -Wextra -Werror "$XI_SOURCE_DIR/tests/e2e/consumer/engine.c" -o "$scratch/in_c" $(pkg-config --cflags --libs xinfer)
LD_LIBRARY_PATH=$prefix/lib "$scratch/in_c" | grep absent.engine

echo "each public header alone, in C++17 without warnings"
cd "$prefix/include"
while read -r header; do # opencv.h is for those who have OpenCV
  echo "#include <$header>" | g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I. -x c++ -
done < <(find xinfer -name "*.h" ! -name opencv.h)

if [ -x "$XI_BINARY_DIR/bin/make_model" ] && [ -x "$prefix/bin/xinfer-cli" ]; then
  echo "an engine built by the installed program runs in the consumer"
  "$XI_BINARY_DIR/bin/make_model" tiny "$scratch/tiny.onnx"
  "$prefix/bin/xinfer-cli" build --onnx "$scratch/tiny.onnx" --target host -o "$scratch/tiny.engine" >"$scratch/cli.log" 2>&1 || { cat "$scratch/cli.log"; exit 1; }
  LD_LIBRARY_PATH=$prefix/lib "$scratch/by_pkg_config" "$scratch/tiny.engine" | tee "$scratch/out"
  grep -qx "10 numbers" "$scratch/out"
fi
