// xinfer-cli keys: signing keys, and whose engines are trusted.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/files.h"
#include "command.h"
#include "engine/trust.h"

namespace xinfer::cli {

using base::Code;
using base::fail;

namespace {

struct Options {
  std::string path, key, comment;
};

std::string hex(std::string_view bytes) { return base::to_hex(std::as_bytes(std::span(bytes))); }

base::Result<int> generate(const Options& options, bool json) {
  auto pair = base::make_key_pair();
  XI_CHECK(engine::write_secret_key(options.path + ".key", pair.secret_key));
  XI_CHECK(base::write_file(options.path + ".pub", hex(pair.public_key) + "\n"));
  if (json)
    fmt::print("{}\n", nlohmann::ordered_json{{"id", engine::key_id(pair.public_key)},
                                              {"public_key", hex(pair.public_key)},
                                              {"secret_key_file", options.path + ".key"},
                                              {"public_key_file", options.path + ".pub"}}
                           .dump(2));
  else
    fmt::print("{}: secret key in {}.key (keep it to yourself), public key in {}.pub\n",
               engine::key_id(pair.public_key), options.path, options.path);
  return 0;
}

base::Result<int> trust(const Options& options, bool json) {
  auto key = base::from_hex(options.key);
  if (!key || key->size() != 32) key = engine::read_public_key(options.key);
  if (!key) return std::unexpected(std::move(key).error());
  XI_CHECK(engine::add_trusted_key(*key, options.comment));
  if (json) fmt::print("{}\n", nlohmann::ordered_json{{"id", engine::key_id(*key)}, {"public_key", hex(*key)}}.dump(2));
  else fmt::print("{} is trusted now\n", engine::key_id(*key));
  return 0;
}

base::Result<int> list(bool json) {
  XI_TRY(engine::Trust trust, engine::load_trust());
  auto rows = nlohmann::ordered_json::array();
  for (const auto& key : trust.public_keys) {
    rows.push_back({{"id", engine::key_id(key)}, {"public_key", hex(key)}});
    if (!json) fmt::print("{} {}\n", engine::key_id(key), hex(key));
  }
  if (json) fmt::print("{}\n", rows.dump(2));
  return 0;
}

base::Result<int> forget(const Options& options, bool json) {
  std::string id = options.key.starts_with("ed25519:") ? options.key.substr(8) : options.key;
  if (auto key = base::from_hex(id); key && key->size() == 32) id = engine::key_id(*key).substr(8);
  auto path = engine::trusted_keys_folder() / (id + ".pub");
  if (id.find('/') != std::string::npos || !std::filesystem::exists(path))
    return fail(Code::kNotFound, "no trusted key '{}'; 'xinfer-cli keys list' shows them", options.key);
  std::filesystem::remove(path);
  if (json) fmt::print("{}\n", nlohmann::ordered_json{{"id", "ed25519:" + id}}.dump(2));
  else fmt::print("ed25519:{} is not trusted any more\n", id);
  return 0;
}

}  // namespace

void add_keys_command(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<Options>();
  auto* group = app.add_subcommand("keys", "Signing keys, and whose engines are trusted");
  group->require_subcommand(1);

  auto* generate_command =
      add_command(*group, invocation, "generate", "Makes a key pair: PATH.key and PATH.pub",
                  "xinfer-cli keys generate team\nxinfer-cli build --onnx a.onnx --key team.key -o a.engine");
  generate_command->add_option("path", options->path, "Where to write, without ending")->required();
  generate_command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return generate(*options, invocation.json); };
  });

  auto* trust_command = add_command(*group, invocation, "trust", "Trusts engines signed with a key from now on",
                                    "xinfer-cli keys trust team.pub --comment 'our build farm'");
  trust_command->add_option("key", options->key, "64 hexadecimal digits, or a .pub file")->required();
  trust_command->add_option("--comment", options->comment, "Whose key it is");
  trust_command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return trust(*options, invocation.json); };
  });

  auto* list_command = add_command(*group, invocation, "list", "Lists the trusted keys", "xinfer-cli keys list");
  list_command->callback([&invocation] { invocation.action = [&invocation] { return list(invocation.json); }; });

  auto* forget_command = add_command(*group, invocation, "forget", "Stops trusting a key",
                                     "xinfer-cli keys forget ed25519:0123456789abcdef");
  forget_command->add_option("key", options->key, "Key id or 64 hexadecimal digits")->required();
  forget_command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return forget(*options, invocation.json); };
  });
}

}  // namespace xinfer::cli
