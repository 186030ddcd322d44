#include "agent/announcements.h"

#include <chrono>

#include "base/log.h"

namespace xinfer::agent {

using base::LogLevel;
using base::Result;
using queue::Channel;

namespace {

constexpr int kTimeoutMs = 5'000, kHeartbeatSeconds = 20, kSliceMs = 250;

Result<std::unique_ptr<Channel>> subscribe(const std::string& url, const std::vector<std::string>& classes) {
  XI_TRY(std::unique_ptr<Channel> channel, Channel::connect(url, kTimeoutMs, kHeartbeatSeconds));
  std::vector<std::string> queues;
  for (const std::string& one : classes) {
    queues.push_back(queue::queue_of(one));
    XI_CHECK(channel->declare(queues.back()));
  }
  XI_CHECK(channel->consume(queues));
  return channel;
}

}  // namespace

bool Announcements::ready() {
  if (url_.empty()) return false;
  if (channel_) return true;
  delivery_.reset();
  auto channel = subscribe(url_, classes_);
  if (!channel) {
    base::log(LogLevel::kWarning, "waiting at the hub instead of the queue", {{"error", channel.error().text()}});
    return false;
  }
  channel_ = std::move(*channel);
  return true;
}

std::optional<std::string> Announcements::wait(int timeout_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!stopped_() && std::chrono::steady_clock::now() < end) {
    auto next = channel_->next(kSliceMs);
    if (!next) {
      base::log(LogLevel::kWarning, "the queue went away", {{"error", next.error().text()}});
      channel_.reset();
      return std::nullopt;
    }
    if (!*next) continue;
    delivery_ = std::move(**next);
    return delivery_->message.queue.substr(queue::queue_of("").size());
  }
  return std::nullopt;
}

void Announcements::settle(bool leased) {
  if (channel_ && delivery_)
    if (auto done = channel_->acknowledge(*delivery_); !done) channel_.reset();
  delivery_.reset();
  if (leased) channel_.reset();
}

}  // namespace xinfer::agent
