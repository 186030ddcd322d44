// YOLOv8n as its exporter writes it: batch normalisation folded, the box decoding inside the graph.
#pragma once

#include <cstdint>
#include <string>

namespace xinfer::make_model {

std::string yolov8n(std::int64_t batch);

}  // namespace xinfer::make_model
