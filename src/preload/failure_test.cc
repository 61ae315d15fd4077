#include "preload/failure.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace stile::preload {
namespace {

TEST(Failure, IsWhatADirectConnectWouldSay) {
  EXPECT_EQ(errno_of(Reason::none), 0);
  EXPECT_EQ(errno_of(Reason::upstream_refused), ECONNREFUSED);
  EXPECT_EQ(errno_of(Reason::upstream_host_unreachable), EHOSTUNREACH);
  EXPECT_EQ(errno_of(Reason::upstream_network_unreachable), ENETUNREACH);
  EXPECT_EQ(errno_of(Reason::upstream_timeout), ETIMEDOUT);
  EXPECT_EQ(errno_of(Reason::upstream_denied), EACCES);
  EXPECT_EQ(errno_of(Reason::dns_not_found), EHOSTUNREACH);
}

TEST(Failure, AProxyOutOfReachIsANetworkOutOfReach) {
  EXPECT_EQ(errno_of(Reason::upstream_failed), ENETUNREACH);
  EXPECT_EQ(errno_of(Reason::upstream_general), EHOSTUNREACH);
}

TEST(Failure, EveryReasonIsOneThatConnectMayGive) {
  const std::set<int> known{ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT,
                            EACCES,       EAFNOSUPPORT, EOPNOTSUPP,  ENOBUFS};
  for (int i = 1; i < reason_count; ++i) {
    EXPECT_TRUE(known.contains(errno_of(static_cast<Reason>(i)))) << token(static_cast<Reason>(i));
  }
}

}  // namespace
}  // namespace stile::preload
