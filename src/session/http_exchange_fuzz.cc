// Sequences of operations: the first octets of the input choose rules, ends and steps, the rest is what the client and
// the origins say, in parts that 0xFF separates. Whatever comes, the exchange asserts nothing, and a split changes
// nothing.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/assert.h"
#include "session/http_talk_for_tests.h"

namespace {

using namespace stile::session;

stile::AuthMethods methods_of(std::uint8_t bits) {
  stile::AuthMethods methods;
  if ((bits & 1) == 0) methods.add(stile::AuthMethod::none);
  if ((bits & 16) != 0) methods.add(stile::AuthMethod::password);
  return methods;
}

/// Parts in their order: the client's octets, then two responses for each origin.
HttpScript script_of(const std::uint8_t* data, std::size_t size) {
  HttpScript script;
  script.rules = {.auth = methods_of(data[0]), .connect = (data[0] & 2) == 0, .forward = (data[0] & 4) == 0};
  if ((data[0] & 64) != 0) {
    script.rules.pac = std::make_shared<const stile::wire::PacFile>(
        stile::wire::PacPlan{.ways = {stile::wire::PacWay::http}, .host = {}, .names = {}, .networks = {}});
  }
  script.client_fin = (data[0] & 8) != 0;
  script.login = (data[0] & 32) == 0 ? stile::Reason::none : stile::Reason::auth_failed;
  std::string* part = &script.client;
  std::size_t parts = 0;
  for (std::size_t i = 4; i < size; ++i) {
    if (data[i] != 0xFF) {
      part->push_back(static_cast<char>(data[i]));
      continue;
    }
    if (parts % 2 == 0) {
      script.origins.emplace_back();
      script.origins.back().end = static_cast<HttpOriginScript::End>((data[1] >> (parts % 8)) % 3);
    }
    script.origins.back().responses.emplace_back();
    part = &script.origins.back().responses.back();
    ++parts;
  }
  return script;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4 || size > 16 * 1024) return 0;
  const HttpScript script = script_of(data, size);
  const HttpTalk whole(script, {});
  const HttpTalk split(script, {.client = 1 + data[2] % 16U, .origin = 1 + data[2] / 16U, .takes = 1 + data[3] % 64U});
  STILE_ASSERT(whole == split);
  return 0;
}
