#include "agent/kernel_exchange.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <thread>

#include "api/codec.h"
#include "base/digest.h"
#include "base/files.h"
#include "base/log.h"

namespace xinfer::agent {

namespace fs = std::filesystem;
using base::Code;
using base::Result;

namespace {

constexpr const char* kReady = "ready-";  // the agent's last file for a query
constexpr auto kPatience = std::chrono::seconds(60);
constexpr std::int64_t kBundleBytes = 256 << 20;
constexpr std::size_t kNames = 8'000;

bool is_kernel_name(const std::string& name) {
  const std::size_t dot = name.find('.');
  return dot != name.npos && base::is_sha256(name.substr(0, dot)) && (name.substr(dot) == ".o" || name.substr(dot) == ".cubin" || name.substr(dot) == ".reference");
}

// Kernels are checked when they are read, so nothing waits for the disk here.
Result<void> write_quickly(const fs::path& file, std::string_view bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) return base::fail(Code::kIo, "cannot write {}: is the disk full?", file.string());
  return {};
}

// Beside its place first: other builds read the cache too.
bool copy_into_cache(const fs::path& from, const fs::path& to) {
  std::error_code error;
  const fs::path part = to.string() + "." + base::random_hex(8) + ".part";
  if (fs::copy_file(from, part, error)) fs::rename(part, to, error);
  if (!error) return true;
  fs::remove(part, error);
  return false;
}

}  // namespace

void KernelRequest::ask(const std::vector<std::string>& missing) {
  api::KernelQuery query;
  for (const std::string& path : missing) query.names.push_back(fs::path(path).filename().string());
  print_(LineKind::kKernels, api::encode(query));
  const fs::path folder = job_ / "kernels";
  const auto until = std::chrono::steady_clock::now() + kPatience;
  std::error_code error;
  const std::string ready = kReady + std::to_string(++asked_);
  compiled_.insert(missing.begin(), missing.end());
  while (!fs::exists(folder / ready, error)) {
    if (std::chrono::steady_clock::now() > until) return;  // compiling is slower, but it works
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  for (const std::string& path : missing) {
    const fs::path from = folder / fs::path(path).filename();
    fs::create_directories((cache_ / path).parent_path(), error);
    if (fs::exists(from, error) && copy_into_cache(from, cache_ / path)) compiled_.erase(path);
  }
}

Result<void> KernelRequest::offer() const {
  if (compiled_.empty()) return {};
  std::string bundle;
  api::KernelOffer offer;
  for (const std::string& path : compiled_) {
    const auto bytes = base::read_file(cache_ / path);
    if (!bytes || bytes->empty()) continue;  // the compiler did without
    offer.kernels.push_back({fs::path(path).filename().string(), {}, static_cast<std::int64_t>(bundle.size()),
                             static_cast<std::int64_t>(bytes->size()), {}});
    bundle += *bytes;
  }
  XI_CHECK(write_quickly(out_ / "kernels", bundle));
  print_(LineKind::kOffer, api::encode(offer));
  return {};
}

std::size_t KernelExchange::fetch(const std::vector<std::string>& names) {
  const std::size_t before = fetched_;
  if (const auto done = fetch_all(names); !done)
    base::log(base::LogLevel::kWarning, "no kernels from the hub", {{"job", lease_.job}, {"error", done.error().text()}});
  if (const auto told = base::write_file(folder_ / (kReady + std::to_string(++queries_)), ""); !told)
    base::log(base::LogLevel::kWarning, "the build waits for kernels in vain", {{"job", lease_.job}, {"error", told.error().text()}});
  return fetched_ - before;
}

Result<void> KernelExchange::fetch_all(const std::vector<std::string>& names) {
  if (names.size() > kNames || !std::ranges::all_of(names, is_kernel_name))
    return base::fail(Code::kInvalidArgument, "the build asks for what are no kernels");
  wanted_.insert(names.begin(), names.end());
  XI_TRY(const api::KernelList list, link_.find_kernels(lease_.job, {lease_.token, names}));
  std::map<std::string, std::vector<api::Kernel>> by_bundle;
  for (const api::Kernel& kernel : list.kernels)
    if (wanted_.contains(kernel.name)) by_bundle[kernel.bundle].push_back(kernel);
  for (auto& [bundle, kernels] : by_bundle) XI_CHECK(fetch_bundle(std::move(kernels)));
  return {};
}

// One request for all that lies in the bundle, from the first kernel to the last.
Result<void> KernelExchange::fetch_bundle(std::vector<api::Kernel> kernels) {
  std::int64_t first = INT64_MAX, end = 0;
  for (const api::Kernel& kernel : kernels) {
    if (kernel.offset < 0 || kernel.size_bytes <= 0 || kernel.offset > kBundleBytes || kernel.size_bytes > kBundleBytes)
      return base::fail(Code::kCorrupt, "the hub names a kernel that lies nowhere");
    first = std::min(first, kernel.offset);
    end = std::max(end, kernel.offset + kernel.size_bytes);
  }
  XI_TRY(const std::string bytes, link_.kernel_bytes(lease_, kernels.front().bundle, first, end - first));
  for (const api::Kernel& kernel : kernels) {
    const std::string piece = bytes.substr(static_cast<std::size_t>(kernel.offset - first), static_cast<std::size_t>(kernel.size_bytes));
    if (base::sha256(piece) != kernel.sha256) return base::fail(Code::kCorrupt, "kernel {} came with other bytes", kernel.name);
    XI_CHECK(write_quickly(folder_ / kernel.name, piece));
    wanted_.erase(kernel.name);
    ++fetched_;
  }
  return {};
}

void KernelExchange::give(api::KernelOffer offer, const fs::path& bundle) {
  if (offer.kernels.empty()) return;
  if (const auto given = give_all(offer, bundle); !given)
    base::log(base::LogLevel::kWarning, "kernels are not shared", {{"job", lease_.job}, {"error", given.error().text()}});
}

Result<void> KernelExchange::give_all(api::KernelOffer& offer, const fs::path& bundle) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(bundle, error)) || fs::file_size(bundle, error) > std::uintmax_t{kBundleBytes})
    return base::fail(Code::kCorrupt, "the build offers no bundle of kernels");
  {
    XI_TRY(const base::MappedFile mapped, base::MappedFile::open(bundle));
    const std::string_view bytes(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
    for (api::Kernel& kernel : offer.kernels) {
      const auto size = static_cast<std::int64_t>(bytes.size());
      // What it did not ask for, or what the hub had, is not for a build to say.
      if (!wanted_.contains(kernel.name) || kernel.offset < 0 || kernel.size_bytes <= 0 || kernel.offset > size ||
          kernel.size_bytes > size - kernel.offset)
        return base::fail(Code::kCorrupt, "the build offers kernels that it did not ask for");
      kernel.sha256 = base::sha256(bytes.substr(static_cast<std::size_t>(kernel.offset), static_cast<std::size_t>(kernel.size_bytes)));
    }
  }
  XI_TRY(offer.bundle, link_.upload(bundle, {}));
  offer.token = lease_.token;
  return link_.give_kernels(lease_.job, offer);
}

}  // namespace xinfer::agent
