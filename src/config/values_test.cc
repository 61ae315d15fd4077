// Values that no other test of config/ looks at: what each type refuses.
#include <gtest/gtest.h>

#include "config/keys.h"

namespace stile::config {
namespace {

bool takes(std::string_view table, std::string_view name, std::string_view text) {
  Config config;
  config.listeners.resize(1);
  config.proxy_protocol_to.resize(1);
  config.upstreams.resize(1);
  const Key& key = *find_key(table, name);
  if (is_list(key.type)) return store_list(key, {std::string(text)}, config).has_value();
  return store_text(key, text, config).has_value();
}

TEST(Values, Ports) {
  for (const std::string_view good : {"any", "1", "65535", "1-65535", "40000-40000"}) {
    EXPECT_TRUE(takes("udp", "ports", good)) << good;
  }
  for (const std::string_view bad :
       {"", "0", "0-1", "65536", "1-65536", "2-1", "-1", "1-", "1 - 2", "1,2", "+1", "all"}) {
    EXPECT_FALSE(takes("udp", "ports", bad)) << bad;
  }
}

TEST(Values, UdpAndBindHaveTheirOwn) {
  Config config;
  ASSERT_TRUE(store_text(*find_key("udp", "ports"), "1-2", config));
  ASSERT_TRUE(store_text(*find_key("bind", "ports"), "3-4", config));
  EXPECT_EQ(config.udp.outside.ports, (PortRange{1, 2}));
  EXPECT_EQ(config.bind.outside.ports, (PortRange{3, 4}));
}

TEST(Values, Modes) {
  for (const std::string_view good : {"0660", "660", "0600", "0777", "000"}) EXPECT_TRUE(takes("listen", "mode", good));
  for (const std::string_view bad : {"", "0", "66", "0880", "1777", "00660", "rw", "-660"}) {
    EXPECT_FALSE(takes("listen", "mode", bad)) << bad;
  }
}

TEST(Values, Accounts) {
  for (const std::string_view good : {"root", "www-data", "0", "65534"}) EXPECT_TRUE(takes("listen", "owner", good));
  for (const std::string_view bad : {"", "a b", "a:b", "../x", "a\n"})
    EXPECT_FALSE(takes("listen", "group", bad)) << bad;
}

TEST(Values, AdvertisedAddresses) {
  for (const std::string_view good : {"203.0.113.7", "10.0.0.1", "2001:db8::7"}) {
    EXPECT_TRUE(takes("udp", "advertise", good)) << good;
  }
  for (const std::string_view bad : {"0.0.0.0", "::", "127.0.0.1", "::1", "224.0.0.1", "255.255.255.255", "ff02::1",
                                     "203.0.113.7:80", "host.example", "[2001:db8::7]", ""}) {
    EXPECT_FALSE(takes("bind", "advertise", bad)) << bad;
  }
}

TEST(Values, Networks) {
  for (const std::string_view good : {"10.0.0.5", "10.0.0.0/24", "0.0.0.0/0", "2001:db8::/32", "::1"}) {
    EXPECT_TRUE(takes("listen", "proxy_protocol_from", good)) << good;
  }
  for (const std::string_view bad : {"10.0.0.5/24", "10.0.0.0/33", "balancer.example", "", "10.0.0.0/24:80"}) {
    EXPECT_FALSE(takes("listen", "proxy_protocol_from", bad)) << bad;
  }
}

TEST(Values, ProxyTargets) {
  for (const std::string_view good :
       {"10.0.0.80:443", "10.1.0.0/16:8000-8099", "[2001:db8::/64]:*", "[::1]:1", "0.0.0.0/0:*"}) {
    EXPECT_TRUE(takes("proxy_protocol_to", "targets", good)) << good;
  }
  for (const std::string_view bad : {"10.0.0.80", "10.0.0.80:", "10.0.0.80:0", "2001:db8::1:80", "[10.0.0.80]:80",
                                     "host:80", ":80", "10.0.0.1/24:80", "10.0.0.80:any", "", "[::1]"}) {
    EXPECT_FALSE(takes("proxy_protocol_to", "targets", bad)) << bad;
  }
}

TEST(Values, ListsReplaceWhatWasThere) {
  Config config;
  config.listeners.resize(1);
  const Key& key = *find_key("listen", "protocols");
  ASSERT_TRUE(store_list(key, {"http"}, config));
  EXPECT_EQ(config.listeners[0].protocols, (Protocols{.socks5 = false, .socks4 = false, .http = true}));
  ASSERT_TRUE(store_list(key, {"socks4", "socks4"}, config));
  EXPECT_EQ(value_text(key, config), "socks4");
  EXPECT_EQ(value_list(key, config, 7), (std::vector<std::string>{"socks5", "socks4", "http"})) << "the defaults";
}

}  // namespace
}  // namespace stile::config
