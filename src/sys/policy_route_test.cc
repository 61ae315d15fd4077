// In a network of its own: what has the mark is this host's, whoever it is for, and nothing else is. Where this system
// lets nobody have a network, the test says so and is skipped.
#include "sys/policy_route.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "sys/loopback_setup.h"
#include "sys/process.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"
#include "sys/unique_fd.h"

namespace stile::sys {
namespace {

using namespace std::chrono_literals;

constexpr MarkedDelivery delivery{.mark = 0x1234, .table = 7000, .preference = 7001};
constexpr int no_network = 100;

/// A way leads there, for what has this mark.
bool leads(const Address& to, std::uint32_t mark) {
  const UniqueFd fd(::socket(address_family(to), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress address(Endpoint{to, 9});
  const bool marked = mark == 0 || set_mark(fd.get(), mark).has_value();
  return fd && marked && ::sendto(fd.get(), nullptr, 0, 0, &address.generic, address.length) == 0;
}

/// The step that went wrong; 0: none.
int try_family(Family family, const Address& away) {
  if (leads(away, 0) || leads(away, delivery.mark)) return 1;
  undo_deliver_marked(family, delivery);  // nothing is there
  for (int i = 0; i < 2; ++i) {
    if (!deliver_marked(family, delivery)) return 2;
    if (!leads(away, delivery.mark)) return 3;
    if (leads(away, 0) || leads(away, delivery.mark + 1)) return 4;
  }
  undo_deliver_marked(family, delivery);
  return leads(away, delivery.mark) ? 5 : 0;
}

TEST(PolicyRoute, DeliversHereWhatHasTheMark) {
  auto process = Process::fork("policy-route", {}, [] {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 || !bring_loopback_up()) return no_network;
    if (const int step = try_family(Family::ipv4, Address::v4(192, 0, 2, 1)); step != 0) return step;
    const int step = try_family(Family::ipv6, *Address::parse("2001:db8::1"));
    return step == 0 ? 0 : step + 10;
  });
  ASSERT_TRUE(process);
  const auto ending = process->await(30s);
  ASSERT_TRUE(ending);
  if (ending->code == no_network) GTEST_SKIP() << "this system gives no private networks";
  EXPECT_EQ(ending->signal, 0);
  EXPECT_EQ(ending->code, 0) << "step";
}

}  // namespace
}  // namespace stile::sys
