// The hub's request and response types: what travels as JSON under /v1, the same for server, agent and client.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tensor/size.h"

namespace xinfer::api {

/// JSON text that is passed on as it is (reports, manifests).
struct RawJson {
  std::string text = "null";
  bool operator==(const RawJson&) const = default;
};

/// Input name to the range of each dimension. In JSON a number, or a text as in tensor/range.h: 48, "32:320:1280".
using Shapes = std::map<std::string, std::vector<tensor::Symbol>>;
/// Sizes or narrower ranges inside of those, which an engine has plans of their own for, the more special ones first.
using Profiles = std::vector<Shapes>;

// ---- Errors

struct ErrorBody {
  std::string code;     // a name of base::facts: "not_found", "conflict", …
  std::string message;  // what happened and what to do
  std::string where;    // field, route, file; may be empty
};
struct ErrorReply {
  ErrorBody error;
};

// ---- Models: what catalog/*.yaml holds and GET /v1/models serves

/// How a picture becomes the model's input: value[c] = (pixel[c] * scale - mean[c]) / std[c], pixel in 0…255.
struct ImageInput {
  std::string name;                    // of the model's input
  std::int64_t width = 0, height = 0;  // 0: taken from the engine's input shape
  std::string color = "rgb";           // channel order: rgb, bgr, gray (BT.601 luma), rgba
  std::string layout = "nchw";         // nchw, nhwc
  /// letterbox: keep the ratio, picture at the top left, rest pad; letterbox-center: the same, centred; stretch; crop:
  /// shorter side to size / crop_ratio, middle cut out; height: to the height, width in proportion, rest pad.
  std::string resize = "stretch";
  double crop_ratio = 1.0;
  double pad = 0.0;  // pixel value of the border, before scale, mean and std
  double scale = 1.0;
  std::vector<double> mean, std;  // per channel in the model's order; empty: 0 and 1
};

/// What the zoo needs to read a model's outputs. Fields that a head does not name are left out.
struct Metadata {
  /// yolox, yolov5, yolov8, nanodet, fastestdet, blazeface, ultraface, yunet, softmax, ctc, db-text, text-direction,
  /// espcn, semantic-map, vittrack, voice-activity, noise-removal, embedding, speech-to-text, text-generation
  std::string head;
  std::optional<ImageInput> input;
  std::map<std::string, std::string> outputs;  // role -> output's name: scores, boxes, keypoints, …
  std::vector<std::string> labels;             // class names or characters, by index
  std::string labels_file;                     // in YAML only: file of catalog/labels that `labels` is read from
  std::vector<std::int64_t> strides;           // of the detection grids, in pixels
  std::optional<std::int64_t> num_classes;
  std::optional<std::int64_t> reg_max;    // NanoDet, YOLOv8: bins of a box side are 0…reg_max
  std::optional<std::int64_t> keypoints;  // per detection
  std::vector<std::vector<double>>
      anchors;  // per stride: YOLOv5 w,h pairs; YuNet minimal sizes; BlazeFace [cells, anchors per cell]
  std::vector<double> variances;         // SSD-style decoding
  std::optional<bool> apply_activation;  // scores are logits: sigmoid (detectors) or softmax (classifiers) still to do
  std::optional<bool> normalized_boxes;  // boxes in 0…1 of the input instead of pixels
  std::optional<double> score_threshold, iou_threshold;
  std::optional<bool> class_agnostic;  // overlapping boxes are one object though their classes differ
  std::optional<std::int64_t> max_detections;
  std::optional<std::int64_t> upscale;                                 // super-resolution factor
  std::optional<std::int64_t> blank;                                   // CTC: index of the blank
  std::optional<bool> space;                                           // CTC: a space follows the last label
  std::optional<double> pixel_threshold, box_threshold, unclip_ratio;  // DB text detection
  std::optional<std::int64_t> sample_rate;                             // audio, in Hz
};

/// A place that a model's file can come from. Mirrors of the configuration are tried before these, by digest.
struct Source {
  std::string kind;     // https, npm
  std::string url;      // https
  std::string package;  // npm: NAME@VERSION
  std::string path;     // npm: file in the package, without the leading "package/"
};

/// A finished engine.
struct Engine {
  std::string model;   // empty for builds of uploaded files without a model
  std::string target;  // canonical architecture
  std::string precision;
  std::string digest;  // SHA-256 of the file
  std::int64_t size_bytes = 0;
  std::int64_t created_ms = 0;  // since 1970, UTC
  std::string url;              // path on this hub
  std::string file;             // name to save it under
};

struct Model {
  std::string id;  // "yolox-nano-coco"
  std::string name, task, licence, description, homepage;
  std::int64_t popularity = 0;        // order of the catalogue: higher is better known
  std::string visibility = "public";  // public, private
  std::string sha256;                 // of the ONNX file; empty until confirmed at the first fetch
  std::int64_t size_bytes = 0;        // of the ONNX file; 0 where unknown
  std::vector<Source> sources;
  Shapes input_shapes;  // that engines are built for unless the request says otherwise
  Profiles profiles;    // of engines for CPUs, likewise
  std::optional<Metadata> metadata;
  std::vector<Engine> engines;  // built so far, for the default shapes
};
struct ModelPage {
  std::vector<Model> models;  // without labels
  std::int64_t total = 0, offset = 0;
};
struct EngineList {
  std::vector<Engine> engines;
};
/// Answer to confirming a source without a digest: what was fetched and recorded.
struct SourceConfirmed {
  std::string model, sha256;
  std::int64_t size_bytes = 0;
};

// ---- Targets and keys

struct Target {
  std::string name, kind;  // kind: cpu, cuda
  std::string description;
  std::vector<std::string> aliases, precisions;
  bool available = false;  // an agent that builds for it was seen lately
};
struct TargetList {
  std::vector<Target> targets;
};
struct PublicKey {
  std::string algorithm = "ed25519";
  std::string public_key;  // hexadecimal, 32 bytes
};
struct KeyList {
  std::vector<PublicKey> keys;
};

// ---- Uploads and blobs

struct UploadRequest {
  std::int64_t size_bytes = 0;
  std::string sha256;  // of the whole file
  std::string name;    // for people
};
/// Send parts with PUT /v1/uploads/{id}?offset=N, in order; after a broken connection ask for received_bytes and go on
/// there.
struct Upload {
  std::string id;
  std::string state;                                                // open, complete
  std::int64_t size_bytes = 0, received_bytes = 0, part_bytes = 0;  // part_bytes: largest part taken
  std::string sha256, name;
  std::int64_t expires_ms = 0;
};
struct Blob {
  std::string sha256;
  std::int64_t size_bytes = 0;
};

// ---- Builds

/// Either `model` (an id) or `onnx` (digest of an uploaded blob).
struct BuildRequest {
  std::string model, onnx;
  std::string target;                // "x86-64-v4", "rtx_4090:fp16"; not "host": the client resolves that
  std::string precision;             // "" : as in target, else fp32
  Shapes shapes;                     // empty: the model's default
  Profiles profiles;                 // with neither shapes nor profiles: the model's
  std::string name;                  // for people
  std::optional<Metadata> metadata;  // for uploaded files; goes into the engine's manifest
  std::optional<std::int64_t> priority;  // -100 to 100, among the organisation's own jobs: higher is sooner
};
/// The same for several targets at once.
struct MatrixRequest {
  std::string model, onnx;
  std::vector<std::string> targets;  // each as in BuildRequest
  std::string precision;             // for targets that name none
  Shapes shapes;
  Profiles profiles;
  std::string name;
  std::optional<Metadata> metadata;
  std::optional<std::int64_t> priority;
};
struct Progress {
  std::string stage;                 // fetch, import, optimise, schedule, compile, verify, upload, …
  std::int64_t done = 0, total = 0;  // kernels or bytes; total 0 where unknown
  std::optional<std::int64_t> remaining_ms;  // as earlier builds for the target took; absent where there were too few
  std::optional<std::int64_t> builds = {};   // so many earlier builds
};
struct BuildError {
  std::string kind;  // out_of_memory, time_out, crash, compiler_error, invalid_model, source, lost_agent, internal
  std::string code, message, where;
};
struct Build {
  std::string id;
  std::string state;  // queued, leased, succeeded, failed, cancelled
  std::string model, onnx, target, precision, name;
  Shapes shapes;
  Profiles profiles;
  std::string job;      // identical builds share one
  std::string trace;    // id of the trace of the request that made the job
  bool cached = false;  // answered from the store
  std::int64_t attempts = 0;
  std::int64_t queue_position = 0;  // jobs before this one; 0 when not queued
  std::string waiting_for;          // why no agent that is there can take it
  Progress progress;
  std::optional<Engine> engine;
  std::optional<BuildError> error;
  std::optional<RawJson> report;
  std::int64_t created_ms = 0, started_ms = 0, finished_ms = 0;
};
/// What the hub reads of a build's report.
struct StageTime {
  std::string name;
  double milliseconds = 0;
};
/// Whether the engine has run on a device, and how that went.
struct DeviceVerification {
  bool ran = false;
  std::optional<bool> passed;  // where it ran
  std::string reason, device;  // why it did not run; where it did
};
struct BuildReport {
  std::optional<DeviceVerification> verification;
  std::vector<StageTime> stages;
  std::optional<std::int64_t> kernels;
};
/// What would come of builds of a model for these targets (docs/preflight.md). Model, shapes and name as in BuildRequest.
struct PreflightRequest {
  std::string model, onnx;
  std::vector<std::string> targets;
  std::string precision;  // for targets that name none
  Shapes shapes;
  Profiles profiles;
  std::string name;
  std::optional<bool> launches;  // with every launch of every forecast
};
/// Measures the model's contractions on a GPU; the records become the organisation's.
struct TuneRequest {
  std::string model, onnx;
  std::string target, precision;
  Shapes shapes;
  std::string name;
  std::optional<std::int64_t> candidates;  // of each contraction: 32
};
/// What a job has beside its model, target and shapes, by its kind.
struct JobOptions {
  std::vector<std::string> targets;  // preflight
  std::optional<bool> launches;
  std::optional<std::int64_t> candidates;  // tune
};
/// A preflight or a tuning.
struct Job {
  std::string id;
  std::string kind;   // preflight, tune
  std::string state;  // as of a build
  std::string model, onnx, target, precision, name;
  Shapes shapes;
  std::string job, trace;
  std::int64_t attempts = 0;
  std::int64_t queue_position = 0;
  std::string waiting_for;  // why no agent that is there can take it
  Progress progress;
  std::optional<BuildError> error;
  std::optional<RawJson> result;  // preflight: its report; tune: the records that were measured
  std::int64_t created_ms = 0, started_ms = 0, finished_ms = 0;
};
struct BuildPage {
  std::vector<Build> builds;
  std::int64_t total = 0, offset = 0;
};
/// The builds of one request for several targets, sorted by target.
struct Matrix {
  std::string id;
  std::string state;  // failed or cancelled as soon as one build is; succeeded when all have
  std::string name;
  std::vector<Build> builds;
  std::int64_t created_ms = 0;
};
/// One server-sent event of a build. `id` grows; Last-Event-ID resumes after it.
struct Event {
  std::int64_t id = 0;
  std::string kind;  // state, progress, log
  std::int64_t time_ms = 0;
  std::string text;  // log: the line; state: the new state
  std::optional<Progress> progress;
};

// ---- Private models

struct PushRequest {
  std::string id, name, task, licence, description;
  std::string onnx;  // digest of an uploaded blob
  Shapes input_shapes;
  Profiles profiles;
  std::optional<Metadata> metadata;
};

// ---- Access

struct TokenRequest {
  std::string role;             // viewer, developer, administrator, agent
  std::string organisation;     // empty: the caller's; of agents always "agents"
  std::string name;             // for people
  std::int64_t expires_ms = 0;  // since 1970; 0: never
};
/// `token` is there once, in the answer that makes it.
struct Token {
  std::string id, token, role, organisation, name;
  std::int64_t created_ms = 0, expires_ms = 0;
};
struct TokenList {
  std::vector<Token> tokens;
};

// ---- Tuning

/// For contractions on a GPU, the kernels that were the fastest when measured (forge/cuda/records.h).
struct TuningRecords {
  std::int64_t format = 1;
  std::string architecture, device;
  std::map<std::string, std::string> records;
};

// ---- Agents

/// A compiled kernel: bytes of a bundle, which is a blob.
struct Kernel {
  std::string name;    // SHA-256 of source, flags and compiler, with ".o" or ".cubin"; of a model and its inputs, with ".reference"
  std::string bundle;  // digest
  std::int64_t offset = 0, size_bytes = 0;
  std::string sha256;
};
struct KernelQuery {
  std::string token;
  std::vector<std::string> names;
};
/// Those of a query that the hub has.
struct KernelList {
  std::vector<Kernel> kernels;
};
/// What a build has compiled. `bundle` was uploaded before.
struct KernelOffer {
  std::string token, bundle;
  std::vector<Kernel> kernels;
};

/// What an agent can run engines on: "sm_90a", "NVIDIA H100 80GB HBM3".
struct Device {
  std::string architecture, name;
};
struct DeviceList {
  std::vector<Device> devices;
};
struct Agent {
  std::string name;
  std::vector<std::string> targets;  // that it builds for
  std::vector<Device> devices;
  std::vector<std::string> kinds;  // of jobs that it does
  std::int64_t seen_ms = 0;
  bool live = false;  // seen lately
};
struct AgentList {
  std::vector<Agent> agents;
};

struct LeaseRequest {
  std::string agent;                 // name for logs
  std::vector<std::string> targets;  // architectures that it builds for
  std::int64_t wait_ms = 0;          // long poll
  std::vector<Device> devices;       // that it runs engines on
  std::vector<std::string> kinds;    // of jobs that it does; empty: build and verify, as earlier agents
  std::string queue;                 // the announcement that it follows: only jobs that are announced there
};
struct Lease {
  std::string job, token;
  std::string kind;    // build; verify: run `engine` on a device; tune, preflight: see `options`
  std::string engine;  // digest
  std::optional<JobOptions> options;
  std::int64_t attempt = 0, ttl_ms = 0;
  std::string onnx;  // blob to fetch
  std::int64_t onnx_bytes = 0;
  std::string target, precision, model, licence;
  std::string cache_scope;  // kernel caches are shared within it only
  std::string trace;        // traceparent of the request; may be empty
  Shapes shapes;
  Profiles profiles;
  std::optional<Metadata> metadata;
  std::optional<TuningRecords> tuning;  // of the organisation, for the target
};
struct Heartbeat {
  std::string token;
  std::optional<Progress> progress;
  std::vector<std::string> log;
};
struct HeartbeatReply {
  bool cancelled = false;
  std::int64_t ttl_ms = 0;
};
struct SignRequest {
  std::string token;
  std::string message;  // what the engine format signs: its prefix and the header page; hexadecimal
};
struct Signature {
  std::string signature, public_key;  // hexadecimal
};
struct Completion {
  std::string token;
  std::string engine;  // of a build: blob uploaded under this lease
  RawJson report;      // what the job has found
};
struct Failure {
  std::string token;
  BuildError error;
  bool retry = false;  // the attempt, not the request, is to blame
};

struct Health {
  std::string status;  // ok, or what is wrong
  std::string version;
};

}  // namespace xinfer::api
