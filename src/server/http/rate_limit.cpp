#include "server/http/rate_limit.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cmath>

namespace xinfer::server::http {

double RateLimit::left(const Bucket& bucket, std::int64_t now_ms) const {
  return std::min(per_second_, bucket.left + per_second_ * static_cast<double>(now_ms - bucket.at_ms) / 1000);
}

std::int64_t RateLimit::take(const std::string& client, std::int64_t now_ms) {
  if (per_second_ == 0) return 0;
  const std::lock_guard lock(mutex_);
  // Full buckets tell nothing: after a second of silence a client need not be remembered.
  if (now_ms - swept_ms_ > 1'000) {
    std::erase_if(buckets_, [&](const auto& item) { return left(item.second, now_ms) >= per_second_; });
    swept_ms_ = now_ms;
  }
  Bucket& bucket = buckets_.try_emplace(client, Bucket{per_second_, now_ms}).first->second;
  bucket = {left(bucket, now_ms), now_ms};
  if (bucket.left < 1) return static_cast<std::int64_t>(std::ceil((1 - bucket.left) * 1000 / per_second_));
  bucket.left -= 1;
  return 0;
}

std::size_t RateLimit::clients() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

std::string client_network(const std::string& address) {
  boost::system::error_code error;
  const auto parsed = boost::asio::ip::make_address(address, error);
  if (error || parsed.is_v4()) return address;
  const auto v6 = parsed.to_v6();
  if (v6.is_v4_mapped()) return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6).to_string();
  auto bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return boost::asio::ip::address_v6(bytes).to_string() + "/64";
}

}  // namespace xinfer::server::http
