/* C interface to engines: a stable ABI for other languages. Opaque handles; functions return 0 or an error code, and
 * xi_last_error() has the message of this thread's last failure. Names are UTF-8. Nothing here throws. */
#ifndef XINFER_C_API_H_
#define XINFER_C_API_H_
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XI_API_VERSION 1

/* Numbers keep their meaning in all later versions. */
typedef enum {
  XI_OK = 0,
  XI_INVALID_ARGUMENT = 1,
  XI_NOT_FOUND = 2,
  XI_UNSUPPORTED = 3,
  XI_CORRUPT = 4,
  XI_UNTRUSTED = 5,
  XI_INCOMPATIBLE = 6,
  XI_OUT_OF_MEMORY = 7,
  XI_IO = 8,
  XI_INTERNAL = 9
} xi_status;

/* Element types: the numbers of ONNX's TensorProto.DataType. */
typedef enum {
  XI_FLOAT32 = 1,
  XI_UINT8 = 2,
  XI_INT8 = 3,
  XI_UINT16 = 4,
  XI_INT16 = 5,
  XI_INT32 = 6,
  XI_INT64 = 7,
  XI_STRING = 8,
  XI_BOOL = 9,
  XI_FLOAT16 = 10,
  XI_FLOAT64 = 11,
  XI_UINT32 = 12,
  XI_UINT64 = 13,
  XI_BFLOAT16 = 16
} xi_dtype;

/* An element of a string tensor: text that lies elsewhere and has no zero byte at its end. */
typedef struct {
  const char* data;
  int64_t size;
} xi_string;

typedef struct xi_engine xi_engine;   /* a loaded engine; functions on it are thread-safe */
typedef struct xi_session xi_session; /* one inference at a time, from one thread at a time */

typedef struct {
  size_t struct_size;              /* sizeof(xi_engine_options), so that the struct can grow */
  int num_threads;                 /* 0: one per CPU */
  int allow_unsigned;              /* 1: also load an engine without a signature; only one that you built yourself */
  int ignore_trust_store;          /* 1: trust only the keys below */
  const char* const* trusted_keys; /* 64 hexadecimal digits each */
  size_t num_trusted_keys;
  int device;                      /* the GPU that a GPU engine runs on, counted as the driver counts them */
} xi_engine_options;

/* Description of an input or output. `name` and `shape` live as long as the engine. */
typedef struct {
  const char* name;
  xi_dtype dtype;
  size_t rank;
  const int64_t* shape; /* -1 where the size is known only while running */
} xi_tensor_info;

/* XI_API_VERSION of the library in use. */
int xi_api_version(void);
/* Message of this thread's last failed call; never null; valid until its next call. */
const char* xi_last_error(void);

/* `options` may be null. *engine is set on success; free it with xi_engine_close. */
xi_status xi_engine_open(const char* path, const xi_engine_options* options, xi_engine** engine);
/* Sessions keep what they need alive: an engine may be closed before its sessions. Null is allowed. */
void xi_engine_close(xi_engine* engine);
size_t xi_engine_num_inputs(const xi_engine* engine);
size_t xi_engine_num_outputs(const xi_engine* engine);
xi_status xi_engine_input_info(const xi_engine* engine, size_t index, xi_tensor_info* info);
xi_status xi_engine_output_info(const xi_engine* engine, size_t index, xi_tensor_info* info);
/* The sizes that an input may have, and those that the engine is fastest at: *min, *opt and *max receive arrays of the input's
 * rank that live as long as the engine; each may be null. */
xi_status xi_engine_input_range(const xi_engine* engine, size_t index, const int64_t** min, const int64_t** opt,
                                const int64_t** max);

xi_status xi_session_create(const xi_engine* engine, xi_session** session);
void xi_session_close(xi_session* session);
/* For an input that takes many sizes: the shape of what is set or bound from now on. */
xi_status xi_session_set_input_shape(xi_session* session, const char* name, const int64_t* shape, size_t rank);
/* Copies `bytes` bytes into the input. The size must be the input's. Strings are an array of xi_string, whose texts are copied
 * too; xi_session_bind_input reads them where they are, and xi_session_output gives views of texts in the session. */
xi_status xi_session_set_input(xi_session* session, const char* name, const void* data, size_t bytes);
/* The engine reads from (writes to) `data` directly in the runs that follow; it must stay alive. Outputs need 64-byte
 * alignment, inputs are read without a copy when they have it. */
xi_status xi_session_bind_input(xi_session* session, const char* name, const void* data, size_t bytes);
xi_status xi_session_bind_output(xi_session* session, const char* name, void* data, size_t bytes);
xi_status xi_session_run(xi_session* session);
/* GPU engines: kernels read from (write to) device memory of the engine's GPU; 64-byte aligned. XI_UNSUPPORTED for CPU
 * engines. */
xi_status xi_session_bind_device_input(xi_session* session, const char* name, const void* device_data, size_t bytes);
xi_status xi_session_bind_device_output(xi_session* session, const char* name, void* device_data, size_t bytes);
/* GPU engines: enqueues a run on `stream` (CUstream, cudaStream_t) and returns; the session must not be touched until the
 * stream has come so far. */
xi_status xi_session_run_async(xi_session* session, void* stream);
/* The last run's output: valid until the next run or the session's end. `shape` receives up to `max_rank` sizes, *rank how
 * many there are; `shape` and `rank` may be null. */
xi_status xi_session_output(const xi_session* session, const char* name, const void** data, size_t* bytes,
                            int64_t* shape, size_t max_rank, size_t* rank);

#ifdef __cplusplus
}
#endif
#endif /* XINFER_C_API_H_ */
