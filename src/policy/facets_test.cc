#include "policy/facets.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/policy.h"
#include "policy/policy_test_support.h"

namespace stile::policy {
namespace {

using enum TargetClass;

std::vector<std::string> facets_of(std::string_view text, const OwnAddresses& own = {}) {
  std::vector<std::string> facets;
  for (const Facet& facet : FacetSet(address(text), own)) {
    facets.push_back(facet.address.to_string() + " " +
                     (facet.neutral ? "neutral" : std::string(name(facet.target_class))) + " " +
                     std::string(name(facet.form)));
  }
  return facets;
}

using Lines = std::vector<std::string>;

// Security reference, table 3.3, its vectors for 169.254.169.254.
TEST(Facets, Vectors) {
  const std::string inner = "169.254.169.254 metadata ";
  EXPECT_EQ(facets_of("169.254.169.254"), (Lines{inner + "address"}));
  EXPECT_EQ(facets_of("::ffff:a9fe:a9fe"), (Lines{inner + "address"}));
  EXPECT_EQ(facets_of("::ffff:0:a9fe:a9fe"), (Lines{"::ffff:0:a9fe:a9fe reserved address", inner + "IPv4-translated"}));
  EXPECT_EQ(facets_of("::a9fe:a9fe"), (Lines{"::a9fe:a9fe reserved address", inner + "IPv4-compatible"}));
  EXPECT_EQ(facets_of("64:ff9b::a9fe:a9fe"), (Lines{"64:ff9b::a9fe:a9fe neutral address", inner + "NAT64"}));
  EXPECT_EQ(facets_of("2002:a9fe:a9fe::1"), (Lines{"2002:a9fe:a9fe::1 reserved address", inner + "6to4"}));
  EXPECT_EQ(facets_of("2001:0:c000:201::5601:5601"),
            (Lines{"2001:0:c000:201::5601:5601 reserved address", "192.0.2.1 reserved Teredo server",
                   inner + "Teredo client"}));
  EXPECT_EQ(facets_of("2606:4700::5efe:a9fe:a9fe"),
            (Lines{"2606:4700::5efe:a9fe:a9fe public address", inner + "ISATAP"}));
  EXPECT_EQ(facets_of("2606:4700::200:5efe:a9fe:a9fe"),
            (Lines{"2606:4700::200:5efe:a9fe:a9fe public address", inner + "ISATAP"}));
}

// RFC 6052 section 2.2: the reading steps over bits 64 to 71.
TEST(Facets, LocalNat64IsReadAtEveryLength) {
  EXPECT_EQ(facets_of("64:ff9b:1:a9fe:a9:fe00::"),
            (Lines{"64:ff9b:1:a9fe:a9:fe00:: reserved address", "169.254.169.254 metadata local NAT64",
                   "254.169.254.0 reserved local NAT64", "169.254.0.0 link-local local NAT64",
                   "0.0.0.0 reserved local NAT64"}));
  const auto at_56 = facets_of("64:ff9b:1:a9:fe:a9fe::");
  EXPECT_EQ(at_56[2], "169.254.169.254 metadata local NAT64");
  const auto at_64 = facets_of("64:ff9b:1:0:a9:fea9:fe00:0");
  EXPECT_EQ(at_64[3], "169.254.169.254 metadata local NAT64");
  const auto at_96 = facets_of("64:ff9b:1::a9fe:a9fe");
  EXPECT_EQ(at_96[4], "169.254.169.254 metadata local NAT64");
}

TEST(Facets, FormsMayMeet) {
  EXPECT_EQ(facets_of("2002:808:808::5efe:a00:1"),
            (Lines{"2002:808:808::5efe:a00:1 reserved address", "8.8.8.8 public 6to4", "10.0.0.1 private ISATAP"}));
  EXPECT_EQ(facets_of("64:ff9b:1::5efe:a00:1").size(), FacetSet::facets_max);
}

TEST(Facets, ExtractionIsNotRepeated) {
  // The IPv4 inside is a plain address, whatever its own bits would say.
  EXPECT_EQ(facets_of("2002:2002:a9fe::1").size(), 2U);
}

TEST(Facets, AddressesThatEmbedNothing) {
  for (const char* text : {"8.8.8.8", "::", "::1", "2606:4700::1111", "64:ff9b::1:0:0", "64:ff9b:2::1", "2001:1::1",
                           "::ffff:1:0:0", "fe80::1", "2606:4700::100:5efe:a00:1"}) {
    EXPECT_EQ(facets_of(text).size(), 1U) << text;
  }
  EXPECT_EQ(facets_of("::2").size(), 2U);
}

TEST(Facets, OwnNat64AddressIsNotNeutral) {
  OwnAddresses own;
  own.local_routes = {cidr("64:ff9b::808:808")};
  EXPECT_EQ(facets_of("64:ff9b::808:808", own), (Lines{"64:ff9b::808:808 self address", "8.8.8.8 public NAT64"}));
}

TEST(Facets, InnerAddressesAreClassifiedAgainstOwnOnes) {
  OwnAddresses own;
  own.local_routes = {cidr("8.8.8.8")};
  EXPECT_EQ(facets_of("64:ff9b::808:808", own)[1], "8.8.8.8 self NAT64");
}

}  // namespace
}  // namespace stile::policy
