// RabbitMQ as a place where work is announced: publishing with confirms, consuming one message at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace xinfer::queue {

/// The class of agents that a job needs: those that build for a target, or those that have a device of it: "sm_90a.device".
std::string class_of(std::string_view target, bool on_device);
/// The queue in which jobs for a class are announced. One per class, so that each kind of agent scales by its own.
std::string queue_of(const std::string& job_class);

struct Message {
  std::string queue, body;
};

/// One connection with one channel. Not thread-safe. After an error it is of no further use: connect again.
class Channel {
 public:
  /// `url`: "amqp://USER:PASSWORD@HOST:PORT/VHOST"; amqps for TLS, with a certificate for HOST by an authority of
  /// $XINFER_CA_FILE, else of the system. kInvalidArgument, kUnavailable.
  /// `heartbeat_s`: for those who call next() all the time, 0 for others.
  [[nodiscard]] static base::Result<std::unique_ptr<Channel>> connect(const std::string& url, int timeout_ms,
                                                                      int heartbeat_s = 0);
  ~Channel();

  /// Makes the durable quorum queue if it is missing.
  [[nodiscard]] base::Result<void> declare(const std::string& queue);
  /// Publishes persistently and waits until the broker has confirmed every message.
  [[nodiscard]] base::Result<void> publish(const std::vector<Message>& messages);

  /// Subscribes; the broker hands over one message of each queue, the next when that one is acknowledged.
  [[nodiscard]] base::Result<void> consume(const std::vector<std::string>& queues);
  struct Delivery {
    std::uint64_t tag = 0;
    Message message;
  };
  /// The next message, or nothing after `timeout_ms`.
  [[nodiscard]] base::Result<std::optional<Delivery>> next(int timeout_ms);
  [[nodiscard]] base::Result<void> acknowledge(const Delivery& delivery);

 private:
  class State;
  explicit Channel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::queue
