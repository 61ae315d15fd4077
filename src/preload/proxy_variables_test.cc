#include "preload/proxy_variables.h"

#include <gtest/gtest.h>

namespace stile::preload {
namespace {

TEST(ProxyVariables, AreKnownInEitherSpelling) {
  for (const char* const name : {"ALL_PROXY", "all_proxy", "http_proxy", "HTTPS_PROXY", "NO_PROXY", "SOCKS5_SERVER",
                                 "Socks_Proxy", "STILE_VIA", "ftp_proxy"}) {
    EXPECT_TRUE(names_a_proxy(name)) << name;
  }
}

TEST(ProxyVariables, OthersAreNone) {
  for (const char* const name : {"", "PROXY", "ALL_PROXY_", "MY_ALL_PROXY", "PATH", "LD_PRELOAD", "STILE_PRELOAD"}) {
    EXPECT_FALSE(names_a_proxy(name)) << name;
  }
}

}  // namespace
}  // namespace stile::preload
