// The fields of every API type: name, member, whether it is required, and what it means. Included by codec.cpp only.
#pragma once
#include <tuple>

#include "api/types.h"

namespace xinfer::api {

template <class C, class M>
struct Field {
  std::string_view name;
  M C::* member;
  bool required;
  std::string_view summary;
};
template <class C, class M>
constexpr Field<C, M> need(std::string_view name, M C::* member, std::string_view summary = "") {
  return {name, member, true, summary};
}
template <class C, class M>
constexpr Field<C, M> may(std::string_view name, M C::* member, std::string_view summary = "") {
  return {name, member, false, summary};
}

template <class T>
struct Describe {};

#define XI_API_TYPE(Type, ...)                               \
  template <>                                                \
  struct Describe<Type> {                                    \
    static constexpr std::string_view kName = #Type;         \
    static constexpr auto kFields = std::tuple{__VA_ARGS__}; \
  }
#define XI_NEED(Type, member, ...) need<Type>(#member, &Type::member __VA_OPT__(, ) __VA_ARGS__)
#define XI_MAY(Type, member, ...) may<Type>(#member, &Type::member __VA_OPT__(, ) __VA_ARGS__)

XI_API_TYPE(ErrorBody, XI_NEED(ErrorBody, code, "kind of failure, stable"),
            XI_NEED(ErrorBody, message, "what happened and what to do"),
            XI_MAY(ErrorBody, where, "field, route or file"));
XI_API_TYPE(ErrorReply, XI_NEED(ErrorReply, error));

XI_API_TYPE(ImageInput, XI_MAY(ImageInput, name, "of the model's input"), XI_MAY(ImageInput, width),
            XI_MAY(ImageInput, height), XI_MAY(ImageInput, color, "rgb, bgr, gray or rgba"),
            XI_MAY(ImageInput, layout, "nchw or nhwc"),
            XI_MAY(ImageInput, resize, "letterbox, letterbox-center, stretch, crop or height"),
            XI_MAY(ImageInput, crop_ratio), XI_MAY(ImageInput, pad, "pixel value of the border"),
            XI_MAY(ImageInput, scale, "value = (pixel * scale - mean) / std"), XI_MAY(ImageInput, mean),
            XI_MAY(ImageInput, std));
XI_API_TYPE(Metadata, XI_MAY(Metadata, head, "how the outputs are read"), XI_MAY(Metadata, input),
            XI_MAY(Metadata, outputs, "role to output's name"), XI_MAY(Metadata, labels), XI_MAY(Metadata, labels_file),
            XI_MAY(Metadata, strides), XI_MAY(Metadata, num_classes), XI_MAY(Metadata, reg_max),
            XI_MAY(Metadata, keypoints), XI_MAY(Metadata, anchors), XI_MAY(Metadata, variances),
            XI_MAY(Metadata, apply_activation), XI_MAY(Metadata, normalized_boxes), XI_MAY(Metadata, score_threshold),
            XI_MAY(Metadata, iou_threshold), XI_MAY(Metadata, class_agnostic, "overlapping boxes are one object"), XI_MAY(Metadata, max_detections), XI_MAY(Metadata, upscale),
            XI_MAY(Metadata, blank), XI_MAY(Metadata, space), XI_MAY(Metadata, pixel_threshold),
            XI_MAY(Metadata, box_threshold), XI_MAY(Metadata, unclip_ratio), XI_MAY(Metadata, sample_rate));
XI_API_TYPE(Source, XI_NEED(Source, kind, "https or npm"), XI_MAY(Source, url), XI_MAY(Source, package, "NAME@VERSION"),
            XI_MAY(Source, path, "file in the package"));
XI_API_TYPE(Engine, XI_MAY(Engine, model), XI_NEED(Engine, target), XI_NEED(Engine, precision),
            XI_NEED(Engine, digest, "SHA-256 of the file"), XI_NEED(Engine, size_bytes), XI_MAY(Engine, created_ms),
            XI_NEED(Engine, url, "path on this hub"), XI_MAY(Engine, file));
XI_API_TYPE(Model, XI_NEED(Model, id), XI_MAY(Model, name), XI_MAY(Model, task), XI_MAY(Model, licence),
            XI_MAY(Model, description), XI_MAY(Model, homepage), XI_MAY(Model, popularity), XI_MAY(Model, visibility),
            XI_MAY(Model, sha256, "of the ONNX file"), XI_MAY(Model, size_bytes), XI_MAY(Model, sources),
            XI_MAY(Model, input_shapes), XI_MAY(Model, profiles), XI_MAY(Model, metadata), XI_MAY(Model, engines));
XI_API_TYPE(ModelPage, XI_NEED(ModelPage, models), XI_NEED(ModelPage, total), XI_NEED(ModelPage, offset));
XI_API_TYPE(EngineList, XI_NEED(EngineList, engines));
XI_API_TYPE(SourceConfirmed, XI_NEED(SourceConfirmed, model), XI_NEED(SourceConfirmed, sha256),
            XI_NEED(SourceConfirmed, size_bytes));
XI_API_TYPE(Target, XI_NEED(Target, name), XI_NEED(Target, kind, "cpu or cuda"), XI_MAY(Target, description),
            XI_MAY(Target, aliases), XI_MAY(Target, precisions),
            XI_NEED(Target, available, "an agent that builds for it was seen lately"));
XI_API_TYPE(TargetList, XI_NEED(TargetList, targets));
XI_API_TYPE(PublicKey, XI_NEED(PublicKey, algorithm), XI_NEED(PublicKey, public_key, "hexadecimal"));
XI_API_TYPE(KeyList, XI_NEED(KeyList, keys));
XI_API_TYPE(UploadRequest, XI_NEED(UploadRequest, size_bytes), XI_NEED(UploadRequest, sha256, "of the whole file"),
            XI_MAY(UploadRequest, name));
XI_API_TYPE(Upload, XI_NEED(Upload, id), XI_NEED(Upload, state, "open or complete"), XI_NEED(Upload, size_bytes),
            XI_NEED(Upload, received_bytes), XI_NEED(Upload, part_bytes, "largest part taken"), XI_NEED(Upload, sha256),
            XI_MAY(Upload, name), XI_NEED(Upload, expires_ms));
XI_API_TYPE(Blob, XI_NEED(Blob, sha256), XI_NEED(Blob, size_bytes));
XI_API_TYPE(BuildRequest, XI_MAY(BuildRequest, model, "id of a model"),
            XI_MAY(BuildRequest, onnx, "or digest of an uploaded ONNX file"),
            XI_NEED(BuildRequest, target, "name or alias, with :PRECISION"), XI_MAY(BuildRequest, precision),
            XI_MAY(BuildRequest, shapes, "input name to dimensions"),
            XI_MAY(BuildRequest, profiles, "sizes inside of the shapes that get plans of their own"), XI_MAY(BuildRequest, name),
            XI_MAY(BuildRequest, metadata), XI_MAY(BuildRequest, priority, "-100 to 100, higher is sooner"));
XI_API_TYPE(MatrixRequest, XI_MAY(MatrixRequest, model, "id of a model"),
            XI_MAY(MatrixRequest, onnx, "or digest of an uploaded ONNX file"),
            XI_NEED(MatrixRequest, targets, "names or aliases, with :PRECISION"),
            XI_MAY(MatrixRequest, precision, "for targets that name none"),
            XI_MAY(MatrixRequest, shapes, "input name to dimensions"),
            XI_MAY(MatrixRequest, profiles, "sizes inside of the shapes that get plans of their own"), XI_MAY(MatrixRequest, name),
            XI_MAY(MatrixRequest, metadata), XI_MAY(MatrixRequest, priority, "-100 to 100, higher is sooner"));
XI_API_TYPE(Progress, XI_NEED(Progress, stage), XI_NEED(Progress, done), XI_NEED(Progress, total, "0 where unknown"),
            XI_MAY(Progress, remaining_ms, "as earlier builds for the target took"), XI_MAY(Progress, builds, "so many earlier builds"));
XI_API_TYPE(BuildError,
            XI_NEED(BuildError, kind,
                    "out_of_memory, time_out, crash, compiler_error, invalid_model, source, lost_agent or internal"),
            XI_NEED(BuildError, code), XI_NEED(BuildError, message), XI_MAY(BuildError, where));
XI_API_TYPE(Build, XI_NEED(Build, id), XI_NEED(Build, state, "queued, leased, succeeded, failed or cancelled"),
            XI_MAY(Build, model), XI_MAY(Build, onnx), XI_NEED(Build, target), XI_NEED(Build, precision),
            XI_MAY(Build, name), XI_MAY(Build, shapes), XI_MAY(Build, profiles), XI_NEED(Build, job, "identical builds share one"),
            XI_MAY(Build, trace, "id of the trace of the request that made the job"),
            XI_NEED(Build, cached, "answered from the store"), XI_NEED(Build, attempts), XI_MAY(Build, queue_position),
            XI_MAY(Build, waiting_for, "why no agent that is there can take it"), XI_MAY(Build, progress), XI_MAY(Build, engine), XI_MAY(Build, error), XI_MAY(Build, report),
            XI_NEED(Build, created_ms), XI_MAY(Build, started_ms), XI_MAY(Build, finished_ms));
XI_API_TYPE(PreflightRequest, XI_MAY(PreflightRequest, model, "a model's id; or else onnx"),
            XI_MAY(PreflightRequest, onnx, "digest of an uploaded ONNX file"), XI_NEED(PreflightRequest, targets),
            XI_MAY(PreflightRequest, precision, "for targets that name none"), XI_MAY(PreflightRequest, shapes), XI_MAY(PreflightRequest, profiles),
            XI_MAY(PreflightRequest, name), XI_MAY(PreflightRequest, launches, "with every launch and its predicted time"));
XI_API_TYPE(TuneRequest, XI_MAY(TuneRequest, model, "a model's id; or else onnx"),
            XI_MAY(TuneRequest, onnx, "digest of an uploaded ONNX file"), XI_NEED(TuneRequest, target, "a GPU"),
            XI_MAY(TuneRequest, precision), XI_MAY(TuneRequest, shapes), XI_MAY(TuneRequest, name),
            XI_MAY(TuneRequest, candidates, "kernels measured of each contraction, 1 to 1000; 32"));
XI_API_TYPE(JobOptions, XI_MAY(JobOptions, targets), XI_MAY(JobOptions, launches), XI_MAY(JobOptions, candidates));
XI_API_TYPE(Job, XI_NEED(Job, id), XI_NEED(Job, kind, "preflight or tune"),
            XI_NEED(Job, state, "queued, leased, succeeded, failed or cancelled"), XI_MAY(Job, model), XI_MAY(Job, onnx),
            XI_NEED(Job, target), XI_NEED(Job, precision), XI_MAY(Job, name), XI_MAY(Job, shapes),
            XI_NEED(Job, job, "identical requests in flight share one"), XI_MAY(Job, trace), XI_NEED(Job, attempts),
            XI_MAY(Job, queue_position), XI_MAY(Job, waiting_for, "why no agent that is there can take it"),
            XI_MAY(Job, progress), XI_MAY(Job, error), XI_MAY(Job, result, "the preflight's report; the records measured"),
            XI_NEED(Job, created_ms), XI_MAY(Job, started_ms), XI_MAY(Job, finished_ms));
XI_API_TYPE(StageTime, XI_NEED(StageTime, name), XI_NEED(StageTime, milliseconds));
XI_API_TYPE(DeviceVerification, XI_NEED(DeviceVerification, ran), XI_MAY(DeviceVerification, passed),
            XI_MAY(DeviceVerification, reason), XI_MAY(DeviceVerification, device));
XI_API_TYPE(BuildReport, XI_MAY(BuildReport, verification), XI_MAY(BuildReport, stages), XI_MAY(BuildReport, kernels));
XI_API_TYPE(BuildPage, XI_NEED(BuildPage, builds), XI_NEED(BuildPage, total), XI_NEED(BuildPage, offset));
XI_API_TYPE(Matrix, XI_NEED(Matrix, id),
            XI_NEED(Matrix, state, "failed or cancelled as soon as one build is; succeeded when all have"),
            XI_MAY(Matrix, name), XI_NEED(Matrix, builds), XI_NEED(Matrix, created_ms));
XI_API_TYPE(Event, XI_NEED(Event, id), XI_NEED(Event, kind, "state, progress or log"), XI_NEED(Event, time_ms),
            XI_MAY(Event, text), XI_MAY(Event, progress));
XI_API_TYPE(PushRequest, XI_NEED(PushRequest, id), XI_MAY(PushRequest, name), XI_MAY(PushRequest, task),
            XI_MAY(PushRequest, licence), XI_MAY(PushRequest, description),
            XI_NEED(PushRequest, onnx, "digest of an uploaded ONNX file"), XI_MAY(PushRequest, input_shapes),
            XI_MAY(PushRequest, profiles),
            XI_MAY(PushRequest, metadata));
XI_API_TYPE(TokenRequest, XI_NEED(TokenRequest, role, "viewer, developer, administrator or agent"),
            XI_MAY(TokenRequest, organisation, "the caller's when absent"), XI_MAY(TokenRequest, name),
            XI_MAY(TokenRequest, expires_ms, "0: never"));
XI_API_TYPE(Token, XI_NEED(Token, id), XI_MAY(Token, token, "once, in the answer that makes it"), XI_NEED(Token, role),
            XI_NEED(Token, organisation), XI_MAY(Token, name), XI_NEED(Token, created_ms), XI_NEED(Token, expires_ms));
XI_API_TYPE(TokenList, XI_NEED(TokenList, tokens));
XI_API_TYPE(TuningRecords, XI_NEED(TuningRecords, format), XI_NEED(TuningRecords, architecture),
            XI_MAY(TuningRecords, device), XI_NEED(TuningRecords, records, "contraction to kernel"));
XI_API_TYPE(Kernel, XI_NEED(Kernel, name, "SHA-256 of what it was made from, with .o, .cubin or .reference"),
            XI_MAY(Kernel, bundle), XI_NEED(Kernel, offset), XI_NEED(Kernel, size_bytes), XI_MAY(Kernel, sha256));
XI_API_TYPE(KernelQuery, XI_MAY(KernelQuery, token), XI_NEED(KernelQuery, names));
XI_API_TYPE(KernelList, XI_NEED(KernelList, kernels));
XI_API_TYPE(KernelOffer, XI_MAY(KernelOffer, token), XI_MAY(KernelOffer, bundle), XI_NEED(KernelOffer, kernels));
XI_API_TYPE(Device, XI_NEED(Device, architecture), XI_MAY(Device, name));
XI_API_TYPE(DeviceList, XI_NEED(DeviceList, devices));
XI_API_TYPE(Agent, XI_NEED(Agent, name), XI_NEED(Agent, targets, "that it builds for"), XI_MAY(Agent, devices, "that it runs engines on"), XI_MAY(Agent, kinds, "of jobs that it does"),
            XI_NEED(Agent, seen_ms), XI_NEED(Agent, live, "seen lately"));
XI_API_TYPE(AgentList, XI_NEED(AgentList, agents));
XI_API_TYPE(LeaseRequest, XI_NEED(LeaseRequest, agent), XI_NEED(LeaseRequest, targets), XI_MAY(LeaseRequest, wait_ms),
            XI_MAY(LeaseRequest, devices, "that it runs engines on"), XI_MAY(LeaseRequest, kinds, "of jobs that it does; empty: build and verify"),
            XI_MAY(LeaseRequest, queue, "the announcement that it follows"));
XI_API_TYPE(Lease, XI_NEED(Lease, job), XI_MAY(Lease, kind, "build, verify, tune or preflight"), XI_MAY(Lease, engine), XI_MAY(Lease, options), XI_NEED(Lease, token), XI_NEED(Lease, attempt), XI_NEED(Lease, ttl_ms),
            XI_NEED(Lease, onnx), XI_NEED(Lease, onnx_bytes), XI_NEED(Lease, target), XI_NEED(Lease, precision),
            XI_MAY(Lease, model), XI_MAY(Lease, licence), XI_NEED(Lease, cache_scope), XI_MAY(Lease, trace), XI_MAY(Lease, shapes), XI_MAY(Lease, profiles),
            XI_MAY(Lease, metadata), XI_MAY(Lease, tuning));
XI_API_TYPE(Heartbeat, XI_NEED(Heartbeat, token), XI_MAY(Heartbeat, progress), XI_MAY(Heartbeat, log));
XI_API_TYPE(HeartbeatReply, XI_NEED(HeartbeatReply, cancelled), XI_NEED(HeartbeatReply, ttl_ms));
XI_API_TYPE(SignRequest, XI_NEED(SignRequest, token),
            XI_NEED(SignRequest, message, "prefix and header page of the engine, hexadecimal"));
XI_API_TYPE(Signature, XI_NEED(Signature, signature), XI_NEED(Signature, public_key));
XI_API_TYPE(Completion, XI_NEED(Completion, token), XI_MAY(Completion, engine, "of a build"), XI_MAY(Completion, report));
XI_API_TYPE(Failure, XI_NEED(Failure, token), XI_NEED(Failure, error), XI_MAY(Failure, retry));
XI_API_TYPE(Health, XI_NEED(Health, status), XI_NEED(Health, version));

#undef XI_API_TYPE
#undef XI_NEED
#undef XI_MAY

/// Calls f.operator()<T>() for each type above.
template <class F>
void for_each_type(F&& f) {
  [&]<class... T>(std::type_identity<std::tuple<T...>>) {
    (f.template operator()<T>(), ...);
  }(std::type_identity<std::tuple<ErrorBody, ErrorReply, ImageInput, Metadata, Source, Engine, Model, ModelPage,
                                  EngineList, SourceConfirmed, Target, TargetList, PublicKey, KeyList, UploadRequest,
                                  Upload, Blob, BuildRequest, MatrixRequest, Progress, BuildError, Build, StageTime, BuildReport, BuildPage, Matrix,
                                  PreflightRequest, TuneRequest, JobOptions, Job, Event,
                                  PushRequest, TokenRequest, Token, TokenList, TuningRecords, Kernel, KernelQuery, KernelList,
                                  KernelOffer, DeviceVerification, Device, DeviceList, Agent, AgentList, LeaseRequest, Lease, Heartbeat,
                                  HeartbeatReply, SignRequest, Signature, Completion, Failure, Health>>{});
}

}  // namespace xinfer::api
