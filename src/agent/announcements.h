// Jobs announced in RabbitMQ: the agent waits there instead of at the hub. A message only says that there is work for a class
// of agents (queue/channel.h); the job itself comes from the hub, under a lease.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/channel.h"

namespace xinfer::agent {

/// Not thread-safe. The connection lives only while the agent waits: a busy agent must not have messages kept for it.
class Announcements {
 public:
  /// Without a `url` there are none. `stopped` ends waiting.
  Announcements(std::string url, std::vector<std::string> classes, std::function<bool()> stopped)
      : url_(std::move(url)), classes_(std::move(classes)), stopped_(std::move(stopped)) {}

  /// Whether to wait here at all: the queue is configured and its broker answers.
  bool ready();
  /// Waits for a message: the class that it is for, or nothing after `timeout_ms` and when the broker went away.
  std::optional<std::string> wait(int timeout_ms);
  /// The hub has answered, with a lease (which is durable now) or with nothing to do: the message has served.
  void settle(bool leased);
  /// The hub has not answered: the message is for somebody else.
  void drop() { channel_.reset(); }

 private:
  std::string url_;
  std::vector<std::string> classes_;
  std::function<bool()> stopped_;
  std::unique_ptr<queue::Channel> channel_;
  std::optional<queue::Channel::Delivery> delivery_;
};

}  // namespace xinfer::agent
