// Sequences of events: the first octets of the input choose the request, where the stream is split and how it ends; the
// rest is what the proxy says. Whatever comes, the session asserts nothing, a split changes nothing, and no octet
// behind the last reply is taken.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "session/client_conversation_for_tests.h"

namespace {

using namespace stile;
using namespace stile::session;

constexpr std::array commands{wire::Command::connect,    wire::Command::bind,       wire::Command::udp_associate,
                              wire::Command::ping,       wire::Command::traceroute, wire::Command::resolve,
                              wire::Command::resolve_ptr};

void end(ClientConversation& conversation, std::uint8_t last_event) {
  if (conversation.over()) return;
  switch (last_event % 3) {
    case 0:
      return conversation.handle(ClientSession::ProxyFin{});
    case 1:
      return conversation.handle(ClientSession::ProxyLost{});
    default:
      return conversation.handle(ClientSession::DeadlinePassed{});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  ProxyRequest request;
  request.protocol = (data[0] & 1) == 0 ? wire::ProxyProtocol::socks5 : wire::ProxyProtocol::socks4;
  if ((data[0] & 0x80) != 0) request.protocol = wire::ProxyProtocol::http;
  request.command = commands[(data[0] >> 2) % commands.size()];
  request.target = {.host = Address::v4(192, 0, 2, 10), .port = 80};
  if ((data[0] & 2) != 0) {
    request.user = "alice";
    request.password = "secret";
  }
  const ConstBytes stream(data + 3, std::min<std::size_t>(size - 3, 1024));
  ClientConversation whole(request, stream, std::max<std::size_t>(stream.size(), 1));
  ClientConversation split(request, stream, 1 + data[1] % 16);
  end(whole, data[2]);
  end(split, data[2]);
  STILE_ASSERT(whole.over() && split.over());
  STILE_ASSERT(whole.transcript() == split.transcript());
  if (whole.session().failure() == ProxyFailure{}) {
    STILE_ASSERT(whole.rest().size() == split.rest().size());
    // Granted: at most a method choice, an answer to a login and two replies were taken.
    STILE_ASSERT(request.protocol == wire::ProxyProtocol::http ||
                 stream.size() - whole.rest().size() <= 4 + 2 * wire::reply_octets_max);
  } else {
    const Advice advice = explain(whole.session().failure());
    for (const char c : advice.why + advice.cure) STILE_ASSERT(c >= 0x20 && c < 0x7f);
  }
  return 0;
}
