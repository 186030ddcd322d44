// The states of builds and jobs.
#pragma once
#include <string_view>

namespace xinfer::api {

/// Whether it changes no more.
inline bool is_final(std::string_view state) { return state == "succeeded" || state == "failed" || state == "cancelled"; }

}  // namespace xinfer::api
