#include "queue/channel.h"

#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

#include <algorithm>
#include <cstdlib>
#include <map>

namespace xinfer::queue {

using base::Code;
using base::Result;

namespace {

constexpr amqp_channel_t kChannel = 1;
constexpr int kFrameBytes = 131'072;
constexpr std::size_t kWindow = 200;  // messages that wait for confirms at once

amqp_bytes_t bytes_of(const std::string& text) { return {text.size(), const_cast<char*>(text.data())}; }
std::string text_of(amqp_bytes_t bytes) { return {static_cast<const char*>(bytes.bytes), bytes.len}; }

std::unexpected<base::Error> broken(std::string_view what, const std::string& why) {
  return std::unexpected(base::Error{Code::kUnavailable, fmt::format("RabbitMQ: {}: {}", what, why), "queue"});
}

Result<void> check(const amqp_rpc_reply_t& reply, std::string_view what) {
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return {};
  if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) return broken(what, amqp_error_string2(reply.library_error));
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
    return broken(what, text_of(static_cast<amqp_channel_close_t*>(reply.reply.decoded)->reply_text));
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
    return broken(what, text_of(static_cast<amqp_connection_close_t*>(reply.reply.decoded)->reply_text));
  return broken(what, "the broker refused");
}

// The socket belongs to the connection. With TLS the broker's certificate is checked, and that it is the host's.
Result<amqp_socket_t*> new_socket(amqp_connection_state_t connection, bool tls) {
  if (!tls) return amqp_tcp_socket_new(connection);
  const char* file = std::getenv("XINFER_CA_FILE");
  const std::string authorities = file && *file ? file : "/etc/ssl/certs/ca-certificates.crt";
  amqp_socket_t* const socket = amqp_ssl_socket_new(connection);
  if (!socket) return std::unexpected(base::Error{Code::kOutOfMemory, "no TLS session", "queue"});
  amqp_ssl_socket_set_verify_peer(socket, 1);
  amqp_ssl_socket_set_verify_hostname(socket, 1);
  if (amqp_ssl_socket_set_cacert(socket, authorities.c_str()) != AMQP_STATUS_OK)
    return std::unexpected(base::Error{
        Code::kInvalidArgument,
        fmt::format("no certificates of authorities in {}: install ca-certificates, or set XINFER_CA_FILE", authorities), "queue"});
  return socket;
}

}  // namespace

std::string class_of(std::string_view target, bool on_device) { return std::string(target) + (on_device ? ".device" : ""); }
std::string queue_of(const std::string& job_class) { return "ignition." + job_class; }

class Channel::State {
 public:
  State() : connection(amqp_new_connection()) {}
  ~State() { amqp_destroy_connection(connection); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Waits until every number up to `last` is confirmed.
  Result<void> wait_confirmed(std::uint64_t last);

  amqp_connection_state_t connection;
  timeval timeout{};
  bool confirming = false;
  std::uint64_t published = 0, confirmed = 0;
  std::map<std::string, std::string> queue_of_consumer;
};

Channel::Channel(std::unique_ptr<State> state) : state_(std::move(state)) {}
Channel::~Channel() = default;

Result<std::unique_ptr<Channel>> Channel::connect(const std::string& url, int timeout_ms, int heartbeat_s) {
  std::string copy = url;
  amqp_connection_info info;
  if (amqp_parse_url(copy.data(), &info) != AMQP_STATUS_OK)
    return std::unexpected(
        base::Error{Code::kInvalidArgument, "expected amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://", "queue"});
  auto state = std::make_unique<State>();
  state->timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
  XI_TRY(amqp_socket_t* const socket, new_socket(state->connection, info.ssl));
  amqp_set_handshake_timeout(state->connection, &state->timeout);
  amqp_set_rpc_timeout(state->connection, &state->timeout);
  if (const int status = amqp_socket_open_noblock(socket, info.host, info.port, &state->timeout);
      status != AMQP_STATUS_OK)
    return broken("cannot connect", amqp_error_string2(status));
  // "amqp://host/" names the vhost "", which no broker has: the usual one is meant.
  const char* vhost = info.vhost && *info.vhost ? info.vhost : "/";
  XI_CHECK(check(amqp_login(state->connection, vhost, 0, kFrameBytes, heartbeat_s, AMQP_SASL_METHOD_PLAIN,
                            info.user, info.password),
                 "cannot log in"));
  amqp_channel_open(state->connection, kChannel);
  XI_CHECK(check(amqp_get_rpc_reply(state->connection), "cannot open a channel"));
  return std::unique_ptr<Channel>(new Channel(std::move(state)));
}

Result<void> Channel::declare(const std::string& queue) {
  amqp_table_entry_t entry;
  entry.key = amqp_cstring_bytes("x-queue-type");
  entry.value.kind = AMQP_FIELD_KIND_UTF8;
  entry.value.value.bytes = amqp_cstring_bytes("quorum");
  const amqp_table_t arguments{1, &entry};
  amqp_queue_declare(state_->connection, kChannel, bytes_of(queue), /*passive=*/0, /*durable=*/1, /*exclusive=*/0,
                     /*auto_delete=*/0, arguments);
  return check(amqp_get_rpc_reply(state_->connection), "cannot declare the queue " + queue);
}

Result<void> Channel::State::wait_confirmed(std::uint64_t last) {
  while (confirmed < last) {
    amqp_frame_t frame;
    const int status = amqp_simple_wait_frame_noblock(connection, &frame, &timeout);
    if (status != AMQP_STATUS_OK) return broken("no confirm", amqp_error_string2(status));
    if (frame.frame_type != AMQP_FRAME_METHOD) continue;
    if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
      // Confirms of one queue come in order; those of several may not, so single ones are counted.
      const auto* ack = static_cast<amqp_basic_ack_t*>(frame.payload.method.decoded);
      confirmed = ack->multiple ? std::max<std::uint64_t>(confirmed, ack->delivery_tag) : confirmed + 1;
    } else if (frame.payload.method.id == AMQP_BASIC_NACK_METHOD) {
      return broken("a message was refused", "the broker is out of resources");
    } else if (frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD) {
      return broken("the channel was closed",
                    text_of(static_cast<amqp_channel_close_t*>(frame.payload.method.decoded)->reply_text));
    } else if (frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD) {
      return broken("the connection was closed",
                    text_of(static_cast<amqp_connection_close_t*>(frame.payload.method.decoded)->reply_text));
    }
  }
  return {};
}

Result<void> Channel::publish(const std::vector<Message>& messages) {
  if (!state_->confirming) {
    amqp_confirm_select(state_->connection, kChannel);
    XI_CHECK(check(amqp_get_rpc_reply(state_->connection), "no publisher confirms"));
    state_->confirming = true;
  }
  amqp_basic_properties_t properties{};
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG;
  properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
  properties.content_type = amqp_cstring_bytes("text/plain");
  for (const Message& message : messages) {
    const int status = amqp_basic_publish(state_->connection, kChannel, amqp_empty_bytes, bytes_of(message.queue),
                                          /*mandatory=*/0, /*immediate=*/0, &properties, bytes_of(message.body));
    if (status != AMQP_STATUS_OK) return broken("cannot publish", amqp_error_string2(status));
    ++state_->published;
    if (state_->published - state_->confirmed >= kWindow) XI_CHECK(state_->wait_confirmed(state_->published));
  }
  return state_->wait_confirmed(state_->published);
}

Result<void> Channel::consume(const std::vector<std::string>& queues) {
  amqp_basic_qos(state_->connection, kChannel, 0, 1, /*global=*/0);  // quorum queues know no other
  XI_CHECK(check(amqp_get_rpc_reply(state_->connection), "cannot limit deliveries"));
  for (const std::string& queue : queues) {
    const amqp_basic_consume_ok_t* ok =
        amqp_basic_consume(state_->connection, kChannel, bytes_of(queue), amqp_empty_bytes, /*no_local=*/0,
                           /*no_ack=*/0, /*exclusive=*/0, amqp_empty_table);
    XI_CHECK(check(amqp_get_rpc_reply(state_->connection), "cannot consume from " + queue));
    state_->queue_of_consumer[text_of(ok->consumer_tag)] = queue;
  }
  return {};
}

Result<std::optional<Channel::Delivery>> Channel::next(int timeout_ms) {
  const timeval timeout{timeout_ms / 1000, (timeout_ms % 1000) * 1000};
  amqp_maybe_release_buffers(state_->connection);
  amqp_envelope_t envelope;
  const amqp_rpc_reply_t reply = amqp_consume_message(state_->connection, &envelope, &timeout, 0);
  if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
    return std::optional<Delivery>();
  // Whatever else comes (a cancelled consumer, a closed channel) ends this connection's use.
  XI_CHECK(check(reply, "no message"));
  Delivery delivery{envelope.delivery_tag,
                    {state_->queue_of_consumer[text_of(envelope.consumer_tag)], text_of(envelope.message.body)}};
  amqp_destroy_envelope(&envelope);
  return std::optional<Delivery>(std::move(delivery));
}

Result<void> Channel::acknowledge(const Delivery& delivery) {
  const int status = amqp_basic_ack(state_->connection, kChannel, delivery.tag, /*multiple=*/0);
  if (status != AMQP_STATUS_OK) return broken("cannot acknowledge", amqp_error_string2(status));
  return {};
}

}  // namespace xinfer::queue
