// YOLOv8n as its exporter writes it: batch normalisation folded, the box decoding inside the graph.
#pragma once

#include <string>

namespace xinfer::make_model {

std::string yolov8n();

}  // namespace xinfer::make_model
