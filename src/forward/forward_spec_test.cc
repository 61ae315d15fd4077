// Forwards as people write them: every form that is taken, and for every one that is not the part that is at fault.
#include "forward/forward_spec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stile::forward {
namespace {

Target target(const std::string& host, std::uint16_t port) {
  return {canonical_host(host).value(), port};
}

std::vector<Endpoint> at(std::initializer_list<const char*> texts) {
  std::vector<Endpoint> places;
  for (const char* text : texts) places.push_back(*Endpoint::parse(text));
  return places;
}

struct Good {
  const char* text;
  Forward means;
};

TEST(ForwardSpec, every_form) {
  const Target web = target("www.example", 80);
  const Target names = target("ns.example", 53);
  const Good rows[] = {
      {"8080=www.example:80", {false, at({"127.0.0.1:8080", "[::1]:8080"}), "", web}},
      {"localhost:8080=www.example:80", {false, at({"127.0.0.1:8080", "[::1]:8080"}), "", web}},
      {"0=www.example:80", {false, at({"127.0.0.1:0"}), "", web}},
      {"127.0.0.1:8080=WWW.example.:80", {false, at({"127.0.0.1:8080"}), "", web}},
      {"0.0.0.0:8080/tcp=www.example:80", {false, at({"0.0.0.0:8080"}), "", web}},
      {"[::]:8080=www.example:80/tcp", {false, at({"[::]:8080"}), "", web}},
      {"[::1]:5353/udp=ns.example:53/udp", {true, at({"[::1]:5353"}), "", names}},
      {"5353/udp=ns.example:53", {true, at({"127.0.0.1:5353", "[::1]:5353"}), "", names}},
      {"5353=ns.example:53/udp", {true, at({"127.0.0.1:5353", "[::1]:5353"}), "", names}},
      {"8080=[2001:db8::1]:80", {false, at({"127.0.0.1:8080", "[::1]:8080"}), "", target("2001:db8::1", 80)}},
      {"8080=192.0.2.1:80", {false, at({"127.0.0.1:8080", "[::1]:8080"}), "", target("192.0.2.1", 80)}},
      {"unix:/run/a=b/socket=www.example:80", {false, {}, "/run/a=b/socket", web}},
      {"unix:/run/x/udp=www.example:80", {false, {}, "/run/x/udp", web}},
  };
  for (const Good& row : rows) {
    const auto parsed = parse_forward(row.text);
    ASSERT_TRUE(parsed) << row.text << ": " << parsed.error().why;
    EXPECT_EQ(*parsed, row.means) << row.text;
  }
}

TEST(ForwardSpec, its_place_is_the_one_that_must_be_had) {
  EXPECT_EQ(parse_forward("8080=a.example:1")->place(), "127.0.0.1:8080");
  EXPECT_EQ(parse_forward("[::1]:8080=a.example:1")->place(), "[::1]:8080");
  EXPECT_EQ(parse_forward("unix:/a=a.example:1")->place(), "unix:/a");
}

struct Bad {
  const char* text;
  const char* why;
};

TEST(ForwardSpec, what_is_wrong_is_named) {
  const std::string long_path = "unix:/" + std::string(107, 'a') + "=a.example:1";
  const Bad rows[] = {
      {"", "there is no '='"},
      {"8080", "there is no '='"},
      {"8080:www.example:80", "there is no '='"},
      {"=www.example:80", "LISTEN's port"},
      {"65536=www.example:80", "LISTEN's port"},
      {"-1=www.example:80", "LISTEN's port"},
      {"80 80=www.example:80", "LISTEN's port"},
      {":8080=www.example:80", "LISTEN is not"},
      {"::1:8080=www.example:80", "LISTEN is not"},
      {"*:8080=www.example:80", "no address of this one"},
      {"[127.0.0.1]:8080=www.example:80", "no address of this one"},
      {"[localhost]:8080=www.example:80", "no address of this one"},
      {"host.example:8080=www.example:80", "no address of this one"},
      {"8080=", "the target is not"},
      {"8080=80", "the target is not"},
      {"8080=2001:db8::1:80", "the target is not"},
      {"8080=www.example", "the target is not"},
      {"8080=www.example:0", "the target's port"},
      {"8080=www.example:http", "the target's port"},
      {"8080=www.example:80/sctp", "the target's port"},
      {"8080=w w w:80", "no host"},
      {"8080=127.1:80", "no host"},
      {"8080=[www.example]:80", "no host"},
      {"8080/tcp=ns.example:53/udp", "TCP does not become UDP"},
      {"8080/udp=ns.example:53/tcp", "TCP does not become UDP"},
      {"unix:socket=www.example:80", "absolute path"},
      {"unix:=www.example:80", "absolute path"},
      {"unix:/a\nb=www.example:80", "absolute path"},
      {long_path.c_str(), "absolute path"},
      {"unix:/a=ns.example:53/udp", "carries no UDP"},
  };
  for (const Bad& row : rows) {
    const auto parsed = parse_forward(row.text);
    ASSERT_FALSE(parsed) << row.text;
    EXPECT_TRUE(parsed.error().why.contains(row.why)) << row.text << ": " << parsed.error().why;
    EXPECT_FALSE(parsed.error().cure.empty());
  }
}

TEST(ReverseSpec, every_form) {
  EXPECT_EQ(*parse_reverse("8022=127.0.0.1:22"), (Reverse{8022, target("127.0.0.1", 22)}));
  EXPECT_EQ(*parse_reverse("0=[::1]:22"), (Reverse{0, target("::1", 22)}));
  EXPECT_EQ(*parse_reverse("0=22"), (Reverse{0, target("localhost", 22)}));
  EXPECT_EQ(*parse_reverse("0=db.example:5432/tcp"), (Reverse{0, target("db.example", 5432)}));
  const Bad rows[] = {
      {"22", "there is no '='"},
      {"=22", "the proxy's port"},
      {"a:1=22", "the proxy's port"},
      {"65536=22", "the proxy's port"},
      {"0=22/udp", "BIND carries no UDP"},
      {"0=", "the target's port"},
      {"0=a.example:", "the target's port"},
      {"0=unix:/a", "the target's port"},
  };
  for (const Bad& row : rows) {
    const auto parsed = parse_reverse(row.text);
    ASSERT_FALSE(parsed) << row.text;
    EXPECT_TRUE(parsed.error().why.contains(row.why)) << row.text << ": " << parsed.error().why;
  }
}

}  // namespace
}  // namespace stile::forward
