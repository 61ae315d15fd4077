#include "resolve/name_answers.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "wire/dns_query.h"

namespace stile::resolve {
namespace {

using Octets = std::vector<std::uint8_t>;

constexpr std::uint16_t type_mx = 15;

Octets question(std::string_view name, std::uint16_t type, std::uint16_t qclass = 1) {
  Octets octets{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    octets.push_back(static_cast<std::uint8_t>(label.size()));
    octets.insert(octets.end(), label.begin(), label.end());
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  for (const int octet : {0, type >> 8, type & 0xFF, qclass >> 8, qclass & 0xFF}) {
    octets.push_back(static_cast<std::uint8_t>(octet));
  }
  return octets;
}

struct Said {
  int status = -1;
  int records = -1;
  Octets last;  // of the answer, as many octets as an address has or a name
};

class NameAnswersTest : public ::testing::Test {
 protected:
  Said ask(const Octets& message, std::size_t last = 0) {
    const Octets answer = answers_.answer(message);
    if (answer.size() < 12) return {};
    EXPECT_EQ(answer[0], message[0]);
    EXPECT_EQ(answer[1], message[1]);
    EXPECT_NE(answer[2] & 0x80, 0);
    return {.status = answer[3] & 0x0F,
            .records = answer[7],
            .last = {answer.end() - static_cast<std::ptrdiff_t>(last), answer.end()}};
  }
  Octets address_of(std::string_view name, std::uint16_t type) {
    const Said said = ask(question(name, type), type == wire::dns_type_a ? 4 : 16);
    EXPECT_EQ(said.status, 0);
    EXPECT_EQ(said.records, 1);
    return said.last;
  }

  StandInNames names_;
  NameAnswers answers_{names_, "Workstation.example"};
};

TEST_F(NameAnswersTest, EveryNameHasItsAddresses) {
  EXPECT_EQ(address_of("www.Example.com", wire::dns_type_a), (Octets{198, 18, 1, 0}));
  EXPECT_EQ(address_of("WWW.example.com", wire::dns_type_aaaa),
            (Octets{0xfd, 0x73, 0x74, 0x69, 0x6c, 0x65, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}));
  EXPECT_EQ(address_of("short", wire::dns_type_a), (Octets{198, 18, 1, 1}));
  EXPECT_EQ(to_string(names_.host_of(Address::v4(198, 18, 1, 0))), "www.example.com");
}

TEST_F(NameAnswersTest, AndAddressesHaveTheirNames) {
  (void)address_of("www.example.com", wire::dns_type_a);
  const Said named = ask(question("0.1.18.198.in-addr.arpa", wire::dns_type_ptr), 17);
  EXPECT_EQ(named.records, 1);
  EXPECT_EQ(std::string(named.last.begin(), named.last.end()), std::string("\3www\7example\3com\0", 17));
  EXPECT_EQ(ask(question("0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.6.c.6.9.6.4.7.3.7.d.f.ip6.arpa", 12)).records, 1);
  EXPECT_EQ(ask(question("1.1.18.198.in-addr.arpa", wire::dns_type_ptr)).status, 3);
  EXPECT_EQ(ask(question("8.8.8.8.in-addr.arpa", wire::dns_type_ptr)).status, 3);
  EXPECT_EQ(ask(question("www.example.com", wire::dns_type_ptr)).status, 3);
}

TEST_F(NameAnswersTest, ThisHostIsLoopback) {
  for (const char* const name : {"localhost", "a.localhost", "workstation.example"}) {
    EXPECT_EQ(address_of(name, wire::dns_type_a), (Octets{127, 0, 0, 1})) << name;
    Octets loopback(16);
    loopback.back() = 1;
    EXPECT_EQ(address_of(name, wire::dns_type_aaaa), loopback) << name;
  }
  EXPECT_EQ(address_of("workstation", wire::dns_type_a), (Octets{198, 18, 1, 0}));
  EXPECT_EQ(names_.size(), 1U);
}

TEST_F(NameAnswersTest, ServicesAreNone) {
  for (const std::uint16_t type : {wire::dns_type_https, wire::dns_type_svcb}) {
    const Said said = ask(question("www.example.com", type));
    EXPECT_EQ(said.status, 0);
    EXPECT_EQ(said.records, 0);
  }
  EXPECT_EQ(names_.size(), 0U);
}

TEST_F(NameAnswersTest, WhatOnlyDnsKnowsIsNotAnswered) {
  EXPECT_EQ(ask(question("example.com", type_mx)).status, 4);
  EXPECT_EQ(ask(question("example.com", 1, 3)).status, 4);  // class CH
  Octets status = question("example.com", 1);
  status[2] = 0x10;
  EXPECT_EQ(ask(status).status, 4);
}

TEST_F(NameAnswersTest, WhatNoHostIsCalledIsNoName) {
  for (const char* const name : {"", "192.0.2.1", "-a.example", "a b.example"}) {
    EXPECT_EQ(ask(question(name, 1)).status, 3) << name;
  }
  EXPECT_EQ(names_.size(), 0U);
}

TEST_F(NameAnswersTest, WhatIsNoQuestionIsNotAnswered) {
  const Octets whole = question("example.com", 1);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_TRUE(answers_.answer(ConstBytes(whole).first(size)).empty()) << size;
  }
  Octets answer = whole;
  answer[2] |= 0x80;
  EXPECT_TRUE(answers_.answer(answer).empty());
  Octets two = whole;
  two[5] = 2;
  EXPECT_EQ(ask(two).status, 1);
}

}  // namespace
}  // namespace stile::resolve
