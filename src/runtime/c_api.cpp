// The C interface: each function calls the C++ one and turns exceptions into codes.
#include "xinfer/c_api.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "xinfer/core/inference_engine.h"

using xinfer::core::InferenceEngine;
using xinfer::core::Session;
using xinfer::core::Tensor;

struct xi_engine {
  InferenceEngine engine;
};
struct xi_session {
  Session session;
  std::vector<xinfer::core::TensorDescription> inputs;
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

void fill(const std::vector<xinfer::core::TensorDescription>& list, size_t index, xi_tensor_info* info) {
  require(info, "info");
  if (index >= list.size()) throw xinfer::Error("not_found", "there is no input or output " + std::to_string(index));
  const auto& item = list[index];
  *info = {item.name.c_str(), static_cast<xi_dtype>(item.dtype), item.shape.size(), item.shape.data()};
}

}  // namespace

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

xi_status xi_session_create(const xi_engine* engine, xi_session** session) {
  return guarded([&] {
    require(engine, "engine");
    require(session, "session");
    *session = new xi_session{engine->engine.create_session(), engine->engine.inputs()};
  });
}
void xi_session_close(xi_session* session) { delete session; }

xi_status xi_session_set_input(xi_session* session, const char* name, const void* data, size_t bytes) {
  return guarded([&] {
    require(session, "session");
    require(name, "name");
    require(data, "data");
    auto input = std::find_if(session->inputs.begin(), session->inputs.end(),
                              [&](const auto& item) { return item.name == name; });
    if (input == session->inputs.end())
      throw xinfer::Error("not_found", std::string("the engine has no input '") + name + "'");
    // A view that set_input only reads.
    Tensor view = Tensor::view(const_cast<void*>(data), input->shape, input->dtype);
    if (view.size_bytes() != bytes)
      throw xinfer::Error("invalid_argument", std::string("input '") + name + "' has " +
                                                  std::to_string(view.size_bytes()) + " bytes, got " +
                                                  std::to_string(bytes));
    session->session.set_input(name, view);
  });
}

xi_status xi_session_bind_input(xi_session* session, const char* name, const void* data, size_t bytes) {
  return guarded([&] {
    require(session, "session");
    require(name, "name");
    session->session.bind_input(name, data, bytes);
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
