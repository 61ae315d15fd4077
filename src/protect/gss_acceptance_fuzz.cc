// The server's side of RFC 1961 on arbitrary octets in arbitrary pieces: whatever comes, it ends in one of its states,
// holds no more than it may, and never lets through what the context did not wrap.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"
#include "protect/gss_acceptance.h"
#include "protect/gss_context_for_tests.h"

namespace stile::protect {
namespace {

void answer(GssAcceptance& server, ContextToSee*& context) {
  const ConstBytes token = server.token();
  const auto welcome = std::vector<std::uint8_t>{'o', 'k'};
  if (token[0] == 'm') return server.advance(welcome);
  if (token[0] == 'n') return server.refuse(Reason::gss_accept);
  auto made = std::make_unique<ContextToSee>(token[0] != 'w');
  context = made.get();
  server.complete(welcome, std::move(made));
}

void run(ConstBytes input) {
  if (input.size() < 2) return;
  GssAcceptance server(
      {.encrypt = (input[0] & 1) != 0, .clear = (input[0] & 2) != 0, .bare_levels = (input[0] & 4) != 0});
  const std::size_t piece = 1 + input[1];
  input = input.subspan(2);
  ContextToSee* context = nullptr;
  std::vector<std::uint8_t> room(64);
  while (!input.empty() && server.failure() == Reason::none && !server.is_clear()) {
    const ConstBytes next = input.first(std::min(piece, input.size()));
    input = input.subspan(next.size());
    server.take(next);
    while (!server.established() && !server.handshake() && server.waits()) answer(server, context);
    STILE_ASSERT(!server.established() || context != nullptr);
    if (!server.established() || server.is_clear()) continue;
    while (server.open(room)) {
    }
    std::vector<std::uint8_t> plain;
    (void)server.unwrap_datagram(next, plain);
  }
  STILE_ASSERT(server.to_send().size() <= 2 * limits::KiB);
}

}  // namespace
}  // namespace stile::protect

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stile::protect::run({data, size});
  return 0;
}
