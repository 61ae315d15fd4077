#include "netns/inside.h"

#include <gtest/gtest.h>

#include "resolve/stand_in_names.h"

namespace stile::netns {
namespace {

TEST(Inside, RulesNameTheNetworksOwn) {
  const std::string rules = packet_rules();
  EXPECT_EQ(rules.find("OWN_"), std::string::npos);
  EXPECT_EQ(rules.find("_PORT"), std::string::npos);
  EXPECT_NE(rules.find("tproxy ip to 198.18.0.1:61080 accept"), std::string::npos);
  EXPECT_NE(rules.find("tproxy ip6 to [fd73:7469:6c65::1]:61080 accept"), std::string::npos);
  EXPECT_NE(rules.find("policy drop"), std::string::npos);
}

TEST(Inside, NamesAreAskedOfTheNetworkItself) {
  EXPECT_EQ(resolv_conf(), "nameserver 198.18.0.1\n");
}

TEST(Inside, HostsAreFoundByFilesAndDnsAlone) {
  EXPECT_EQ(nsswitch_conf("passwd: files systemd\n"
                          "hosts:          files mymachines resolve [!UNAVAIL=return] dns\n"
                          "\t hosts: nis\n"
                          "services: db files\n"),
            "passwd: files systemd\nservices: db files\nhosts: files dns\n");
  EXPECT_EQ(nsswitch_conf(""), "hosts: files dns\n");
  EXPECT_EQ(nsswitch_conf("# hosts\ngroup: files"), "# hosts\ngroup: files\nhosts: files dns\n");
}

}  // namespace
}  // namespace stile::netns
