// The whole zoo: models that know their pre- and post-processing.
#pragma once
#include "xinfer/zoo/generative/super_resolution.h"
#include "xinfer/zoo/vision/classifier.h"
#include "xinfer/zoo/vision/detector.h"
#include "xinfer/zoo/vision/ocr.h"
