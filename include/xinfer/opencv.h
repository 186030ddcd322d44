// OpenCV in and out of xinfer without copying pixels. Include it after OpenCV is on your include path; it is header
// only.
#pragma once
#include <xinfer/error.h>
#include <xinfer/image.h>

#include <opencv2/core/mat.hpp>

namespace xinfer {

/// A view of an 8-bit grey (CV_8UC1) or BGR (CV_8UC3) matrix; it borrows the matrix's pixels. Throws unsupported.
/// Every zoo model takes it where an Image is taken: `detector.detect(xinfer::view(frame))`.
inline ImageView view(const cv::Mat& mat) {
  if (mat.dims != 2 || (mat.type() != CV_8UC1 && mat.type() != CV_8UC3))
    throw Error("unsupported",
                "the matrix is not of type CV_8UC1 or CV_8UC3; convert it with cv::Mat::convertTo first");
  return {mat.data, mat.cols, mat.rows, mat.channels(), static_cast<std::ptrdiff_t>(mat.step[0]), true};
}

/// The image as a matrix that shares its pixels, in RGB order (cv::cvtColor(…, cv::COLOR_RGB2BGR) before cv::imshow).
/// Keep the image alive and in place as long as the matrix.
inline cv::Mat as_mat(Image& image) {
  return cv::Mat(image.height(), image.width(), image.channels() == 1 ? CV_8UC1 : CV_8UC3, image.data());
}

}  // namespace xinfer
