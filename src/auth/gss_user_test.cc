// Whom a principal is taken for.
#include <gtest/gtest.h>

#include "auth/gss_acceptor.h"

namespace stile::auth {
namespace {

TEST(UserOfPrincipal, OnlyPlainNamesOfNamedRealmsAreShortened) {
  const std::vector<std::string> realms{"EXAMPLE.ORG", "EXAMPLE.COM"};
  EXPECT_EQ(user_of_principal("alice@EXAMPLE.ORG", realms), "alice");
  EXPECT_EQ(user_of_principal("alice@EXAMPLE.ORG", {}), "alice@EXAMPLE.ORG");
  for (const std::string whole : {"alice@OTHER", "alice@example.org", "alice/admin@EXAMPLE.ORG", "a\\@b@EXAMPLE.ORG",
                                  "a\\/b@EXAMPLE.ORG", "@EXAMPLE.ORG", "alice", "alice@EXAMPLE.ORG@OTHER", ""}) {
    EXPECT_EQ(user_of_principal(whole, realms), whole);
  }
}

}  // namespace
}  // namespace stile::auth
