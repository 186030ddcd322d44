#include "hub/trust.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/digest.h"
#include "base/files.h"
#include "base/log.h"

namespace xinfer::hub {
namespace {

using base::Code;
using base::fail;
using base::Result;

/// Files of the store whose comment says that they are this hub's.
std::vector<std::filesystem::path> key_files_of(const std::string& url) {
  std::vector<std::filesystem::path> files;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(engine::trusted_keys_folder(), ignored)) {
    if (entry.path().extension() != ".pub") continue;
    const auto text = base::read_file(entry.path(), 10000);
    if (!text) continue;
    const auto hash = text->find('#');
    if (hash == text->npos) continue;
    std::istringstream comment(text->substr(hash + 1));
    std::string word, address;
    comment >> word >> address;
    if (word == "hub" && address == url) files.push_back(entry.path());
  }
  return files;
}

/// Port of a URL, 0 when it names none.
int port_of(std::string_view url) {
  url.remove_prefix(std::min(url.find("://") + 3, url.size()));
  url = url.substr(0, url.find('/'));
  const auto colon = url.rfind(':');
  return colon == url.npos ? 80 : std::atoi(std::string(url.substr(colon + 1)).c_str());
}

}  // namespace

Result<HubKey> hub_key(Client& client) {
  XI_TRY(const api::KeyList list, client.keys());
  for (const api::PublicKey& key : list.keys) {
    if (key.algorithm != "ed25519") continue;
    XI_TRY(std::string raw, base::from_hex(key.public_key));
    if (raw.size() != 32) return fail(Code::kCorrupt, "the hub's signing key has {} bytes, not 32", raw.size());
    HubKey result{std::move(raw), false, {}};
    XI_TRY(const engine::Trust store, engine::load_trust());
    result.trusted = store.trusts(result.public_key);
    for (const auto& file : key_files_of(client.url())) {
      const auto other = engine::read_public_key(file);
      if (other && *other != result.public_key) result.other = *other;
    }
    return result;
  }
  return fail(Code::kUnsupported, "the hub at {} names no signing key of a kind that this version knows (ed25519)",
              client.url());
}

Result<void> trust_hub(const std::string& url, const HubKey& key, bool replace) {
  if (replace) {
    for (const auto& file : key_files_of(url)) {
      const auto other = engine::read_public_key(file);
      std::error_code ignored;
      if (other && *other != key.public_key) std::filesystem::remove(file, ignored);
    }
  }
  return engine::add_trusted_key(key.public_key, "hub " + url);
}

bool listener_is_ours(const std::string& url) {
  const int port = port_of(url);
  bool ours = false, others = false;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);  // the heading
    while (std::getline(file, line)) {
      // sl local_address rem_address st tx:rx tr:when retransmit uid …
      std::istringstream words(line);
      std::string number, local, remote, state, queues, timer, retransmit;
      unsigned uid = ~0u;
      words >> number >> local >> remote >> state >> queues >> timer >> retransmit >> uid;
      if (state != "0A" || local.rfind(':') == local.npos) continue;  // 0A: listening
      if (std::stoi(local.substr(local.rfind(':') + 1), nullptr, 16) != port) continue;
      (uid == 0 || uid == getuid() ? ours : others) = true;
    }
  }
  return ours && !others;
}

Result<engine::Trust> gather_trust(Client& client, const HubOptions& options) {
  XI_TRY(engine::Trust trust, engine::load_trust());
  for (const std::string& hex : options.trusted_keys) {
    XI_TRY(std::string raw, base::from_hex(hex));
    if (raw.size() != 32) return fail(Code::kInvalidArgument, "a trusted key is 64 hexadecimal digits, not '{}'", hex);
    trust.public_keys.push_back(std::move(raw));
  }
  if (!options.trust_loopback_hub || !is_loopback_url(client.url())) return trust;
  XI_TRY(const HubKey key, hub_key(client));
  if (trust.trusts(key.public_key) || key.other || !listener_is_ours(client.url())) return trust;
  XI_CHECK(trust_hub(client.url(), key, false));
  base::log(base::LogLevel::kInfo, "trusting the signing key of the hub on this machine",
            {{"hub", client.url()}, {"key", engine::key_id(key.public_key)}});
  trust.public_keys.push_back(key.public_key);
  return trust;
}

}  // namespace xinfer::hub
