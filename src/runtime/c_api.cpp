// The C interface: each function calls the C++ one and turns exceptions into codes.
#include "xinfer/c_api.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>
#include <string>

#include "tensor/tensor.h"
#include "xinfer/core/inference_engine.h"

using xinfer::core::InferenceEngine;
using xinfer::core::Session;
using xinfer::core::Tensor;

struct xi_engine {
  InferenceEngine engine;
};
struct xi_session {
  Session session;
  std::vector<xinfer::core::TensorDescription> inputs;  // shapes as xi_session_set_input_shape left them

  xinfer::core::TensorDescription& input(const char* name);
  /// The same, checked for a known shape of so many bytes.
  const xinfer::core::TensorDescription& input(const char* name, size_t bytes);
};

namespace {

thread_local std::string last_error;  // the message of a C function needs a place of its own

xi_status status_of(const std::string& code) {
  static constexpr std::pair<const char*, xi_status> kCodes[] = {{"invalid_argument", XI_INVALID_ARGUMENT},
                                                                 {"not_found", XI_NOT_FOUND},
                                                                 {"unsupported", XI_UNSUPPORTED},
                                                                 {"corrupt", XI_CORRUPT},
                                                                 {"untrusted", XI_UNTRUSTED},
                                                                 {"incompatible", XI_INCOMPATIBLE},
                                                                 {"out_of_memory", XI_OUT_OF_MEMORY},
                                                                 {"io", XI_IO}};
  for (const auto& [name, status] : kCodes)
    if (code == name) return status;
  return XI_INTERNAL;
}

template <class F>
xi_status guarded(F&& action) noexcept {
  try {
    action();
    return XI_OK;
  } catch (const xinfer::Error& error) {
    last_error = error.what();
    return status_of(error.code());
  } catch (const std::bad_alloc&) {
    last_error = "out of memory";
    return XI_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    last_error = error.what();
    return XI_INTERNAL;
  }
}

void require(const void* pointer, const char* what) {
  if (!pointer) throw xinfer::Error("invalid_argument", std::string(what) + " is null");
}

[[noreturn]] void refuse(const std::string& message) { throw xinfer::Error("invalid_argument", message); }

void fill(const std::vector<xinfer::core::TensorDescription>& list, size_t index, xi_tensor_info* info) {
  require(info, "info");
  if (index >= list.size()) throw xinfer::Error("not_found", "there is no input or output " + std::to_string(index));
  const auto& item = list[index];
  *info = {item.name.c_str(), static_cast<xi_dtype>(item.dtype), item.shape.size(), item.shape.data()};
}

}  // namespace

xinfer::core::TensorDescription& xi_session::input(const char* name) {
  require(name, "name");
  for (auto& input : inputs)
    if (input.name == name) return input;
  throw xinfer::Error("not_found", std::string("the engine has no input '") + name + "'");
}

const xinfer::core::TensorDescription& xi_session::input(const char* name, size_t bytes) {
  const auto& found = input(name);
  size_t needed = xinfer::core::size_of(found.dtype);
  for (int64_t size : found.shape) {
    if (size < 0)
      refuse("input '" + found.name + "' of shape " + xinfer::tensor::to_string(found.shape) +
             " takes many sizes: call xi_session_set_input_shape first");
    needed *= static_cast<size_t>(size);
  }
  if (needed != bytes)
    refuse("input '" + found.name + "' has " + std::to_string(needed) + " bytes, got " + std::to_string(bytes));
  return found;
}

int xi_api_version(void) { return XI_API_VERSION; }
const char* xi_last_error(void) { return last_error.c_str(); }

xi_status xi_engine_open(const char* path, const xi_engine_options* options, xi_engine** engine) {
  return guarded([&] {
    require(path, "path");
    require(engine, "engine");
    xinfer::core::EngineOptions converted;
    if (options) {
      if (options->struct_size < offsetof(xi_engine_options, device))
        throw xinfer::Error("invalid_argument", "struct_size is not set");
      if (options->struct_size >= sizeof(xi_engine_options)) converted.device = options->device;  // else: an older caller
      converted.num_threads = options->num_threads;
      converted.allow_unsigned = options->allow_unsigned != 0;
      converted.use_trust_store = options->ignore_trust_store == 0;
      for (size_t i = 0; i < options->num_trusted_keys; ++i)
        converted.trusted_keys.emplace_back(options->trusted_keys[i]);
    }
    *engine = new xi_engine{InferenceEngine(path, converted)};
  });
}

void xi_engine_close(xi_engine* engine) { delete engine; }
size_t xi_engine_num_inputs(const xi_engine* engine) { return engine ? engine->engine.num_inputs() : 0; }
size_t xi_engine_num_outputs(const xi_engine* engine) { return engine ? engine->engine.num_outputs() : 0; }

xi_status xi_engine_input_info(const xi_engine* engine, size_t index, xi_tensor_info* info) {
  return guarded([&] {
    require(engine, "engine");
    fill(engine->engine.inputs(), index, info);
  });
}
xi_status xi_engine_output_info(const xi_engine* engine, size_t index, xi_tensor_info* info) {
  return guarded([&] {
    require(engine, "engine");
    fill(engine->engine.outputs(), index, info);
  });
}

xi_status xi_engine_input_range(const xi_engine* engine, size_t index, const int64_t** min, const int64_t** opt,
                                const int64_t** max) {
  return guarded([&] {
    require(engine, "engine");
    const auto& inputs = engine->engine.inputs();
    if (index >= inputs.size()) throw xinfer::Error("not_found", "there is no input " + std::to_string(index));
    if (min) *min = inputs[index].min_shape.data();
    if (opt) *opt = inputs[index].opt_shape.data();
    if (max) *max = inputs[index].max_shape.data();
  });
}

xi_status xi_session_create(const xi_engine* engine, xi_session** session) {
  return guarded([&] {
    require(engine, "engine");
    require(session, "session");
    *session = new xi_session{engine->engine.create_session(), engine->engine.inputs()};
  });
}
void xi_session_close(xi_session* session) { delete session; }

xi_status xi_session_set_input_shape(xi_session* session, const char* name, const int64_t* shape, size_t rank) {
  return guarded([&] {
    require(session, "session");
    auto& input = session->input(name);
    if (rank > 0) require(shape, "shape");
    xinfer::core::Shape given(shape, shape + rank);
    const bool fits = given.size() == input.min_shape.size() &&
                      std::ranges::equal(given, input.min_shape, std::ranges::greater_equal()) &&
                      std::ranges::equal(given, input.max_shape, std::ranges::less_equal());
    if (!fits)
      refuse("input '" + input.name + "' takes " + xinfer::tensor::to_string(input.min_shape) + " to " +
             xinfer::tensor::to_string(input.max_shape) + ", got " + xinfer::tensor::to_string(given));
    input.shape = std::move(given);
  });
}

xi_status xi_session_set_input(xi_session* session, const char* name, const void* data, size_t bytes) {
  return guarded([&] {
    require(session, "session");
    require(data, "data");
    const auto& input = session->input(name, bytes);
    // A view that set_input only reads.
    session->session.set_input(name, Tensor::view(const_cast<void*>(data), input.shape, input.dtype));
  });
}

xi_status xi_session_bind_input(xi_session* session, const char* name, const void* data, size_t bytes) {
  return guarded([&] {
    require(session, "session");
    require(data, "data");
    session->session.bind_input(name, data, session->input(name, bytes).shape);
  });
}

xi_status xi_session_bind_output(xi_session* session, const char* name, void* data, size_t bytes) {
  return guarded([&] {
    require(session, "session");
    require(name, "name");
    session->session.bind_output(name, data, bytes);
  });
}

xi_status xi_session_run(xi_session* session) {
  return guarded([&] {
    require(session, "session");
    session->session.run();
  });
}

xi_status xi_session_bind_device_input(xi_session* session, const char* name, const void* device_data, size_t bytes) {
  return guarded([&] {
    require(session, "session");
    require(name, "name");
    session->session.bind_device_input(name, device_data, bytes);
  });
}

xi_status xi_session_bind_device_output(xi_session* session, const char* name, void* device_data, size_t bytes) {
  return guarded([&] {
    require(session, "session");
    require(name, "name");
    session->session.bind_device_output(name, device_data, bytes);
  });
}

xi_status xi_session_run_async(xi_session* session, void* stream) {
  return guarded([&] {
    require(session, "session");
    session->session.run_async(stream);
  });
}

xi_status xi_session_output(const xi_session* session, const char* name, const void** data, size_t* bytes,
                            int64_t* shape, size_t max_rank, size_t* rank) {
  return guarded([&] {
    require(session, "session");
    require(name, "name");
    Tensor output = session->session.get_output(name);
    if (data) *data = output.data();
    if (bytes) *bytes = output.size_bytes();
    if (rank) *rank = output.rank();
    if (shape) std::copy_n(output.shape().begin(), std::min(max_rank, output.rank()), shape);
  });
}
