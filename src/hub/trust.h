// Whose engines are accepted: the trust store, and which of its keys belongs to which hub.
#pragma once
#include <optional>
#include <string>

#include "base/error.h"
#include "engine/trust.h"
#include "hub/client.h"

namespace xinfer::hub {

/// A hub's signing key and how the trust store stands to it.
struct HubKey {
  std::string public_key;            // raw
  bool trusted = false;              // in the store
  std::optional<std::string> other;  // another key that the store has for this hub's address (raw)
};

/// The key with which the hub signs now.
[[nodiscard]] base::Result<HubKey> hub_key(Client& client);

/// Puts the key into the trust store for this hub. With `replace` other keys of the same address are dropped from it.
[[nodiscard]] base::Result<void> trust_hub(const std::string& url, const HubKey& key, bool replace);

/// Whether the program that listens at a loopback address belongs to this user or to root. False where that is unknown.
bool listener_is_ours(const std::string& url);

/// The keys that the options and the store accept. A hub on a loopback address whose listener is ours is added to the
/// store when the store knows no key for it yet and the options allow it.
[[nodiscard]] base::Result<engine::Trust> gather_trust(Client& client, const HubOptions& options);

}  // namespace xinfer::hub
