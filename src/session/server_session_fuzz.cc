// Sequences of events: the first octets of the input choose the answers and where the stream is split, the rest is the
// stream. Whatever comes, the session asserts nothing, and a split changes nothing.
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "session/conversation_for_tests.h"

namespace {

using stile::ConstBytes;
using stile::Reason;
using namespace stile::session;

// What a listener admits, and whether this source begins with a PROXY header.
SessionRules rules_of(std::uint8_t bits) {
  SessionRules rules;
  rules.socks5 = (bits & 0x10) == 0;
  rules.socks4 = (bits & 0x20) == 0;
  rules.proxy_header = (bits & 0x40) != 0;
  if ((bits & 0x80) != 0) rules.auth = {stile::AuthMethod::password};
  if ((bits & 0x88) == 0x88) rules.auth.add(stile::AuthMethod::none);
  return rules;
}

Conversation run(ConstBytes stream, const Conversation::Answers& answers, std::size_t step, std::uint8_t last_event) {
  Conversation conversation(answers, rules_of(last_event));
  for (std::size_t at = 0; at < stream.size(); at += step) {
    conversation.arrive(stream.subspan(at, std::min(step, stream.size() - at)));
  }
  if (conversation.over()) return conversation;
  // BIND waits for a peer; everybody else waits for octets.
  const bool peer = conversation.session().phase() == Phase::waiting;
  switch (last_event % (peer ? 4 : 2)) {
    case 0:
      conversation.handle(ClientFin{});
      break;
    case 1:
      conversation.handle(ClientFailed{});
      break;
    case 2:
      conversation.handle(Granted{answers.bound});
      break;
    default:
      conversation.handle(Failed{Reason::bind_timeout});
      break;
  }
  return conversation;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const Conversation::Answers answers{.authenticated = data[2] % 4 == 3 ? Reason::auth_failed : Reason::none,
                                      .authorised = static_cast<Reason>(data[0] % stile::reason_count),
                                      .performed = static_cast<Reason>(data[1] % stile::reason_count)};
  const ConstBytes stream(data + 4, std::min<std::size_t>(size - 4, 4096));
  const auto whole = run(stream, answers, std::max<std::size_t>(stream.size(), 1), data[3]);
  const auto split = run(stream, answers, 1 + data[2] % 16, data[3]);
  STILE_ASSERT(whole.over() && split.over());
  STILE_ASSERT(whole.transcript() == split.transcript());
  STILE_ASSERT(whole.target_receives() == split.target_receives());
  STILE_ASSERT(whole.end_asked() == split.end_asked());
  return 0;
}
