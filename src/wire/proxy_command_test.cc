#include "wire/proxy_command.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace stile::wire {
namespace {

TEST(ProxyCommand, EachProtocolHasItsOwn) {
  constexpr std::array commands{Command::connect,    Command::bind,    Command::udp_associate, Command::ping,
                                Command::traceroute, Command::resolve, Command::resolve_ptr};
  const auto known = [&](ProxyProtocol protocol) {
    std::string text;
    for (const Command command : commands) text += has_command(protocol, command) ? 'x' : '-';
    return text;
  };
  EXPECT_EQ(known(ProxyProtocol::socks5), "xxxxxxx");
  EXPECT_EQ(known(ProxyProtocol::socks4), "xx---x-");
  EXPECT_EQ(known(ProxyProtocol::http), "x------");
  EXPECT_EQ(known(ProxyProtocol::proxy_protocol), "x------");
}

}  // namespace
}  // namespace stile::wire
