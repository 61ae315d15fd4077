// Against servers on loopback that answer each name with an address of their own.
#include "resolve/name_service.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "resolve/name_server_for_tests.h"

namespace stile::resolve {
namespace {

using namespace std::chrono_literals;
using engine::EpollEngine;
using engine::Status;

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

/// A records with an address of its own for every name, and nothing of another type.
class Answering final : public NameServerForTests {
 public:
  Answering(EpollEngine& engine, std::uint8_t address)
      : NameServerForTests(engine, {.address = Address::v4(127, 0, 0, 1), .port = 0}), address_(address) {}

  bool silent = false;

 private:
  std::optional<Octets> answer(const Octets& question) override {
    if (silent) return std::nullopt;
    Octets octets = response(question);
    if (!asks_for_a(question)) return octets;
    octets[7] = 1;
    octets.insert(octets.end(), {0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, address_});
    return octets;
  }

  std::uint8_t address_;
};

class NameServiceTest : public testing::Test {
 protected:
  struct Client {
    explicit Client(EpollEngine& loop) : engine(loop) { lookup.bind<&Client::on_resolved>(this); }
    void on_resolved(Status) { engine.stop(); }
    EpollEngine& engine;
    Lookup lookup;
  };

  void TearDown() override {
    struct Closing {
      void on_closed(Status) { engine.stop(); }
      EpollEngine& engine;
      engine::Operation closed{};
    } closing{*engine_};
    closing.closed.bind<&Closing::on_closed>(&closing);
    names_->close(closing.closed);
    engine_->run();
    names_.reset();
    for (Answering* one : {&one_, &two_, &three_}) one->close();
    engine_->stop();
    engine_->run();
  }

  void use(const NameSettings& settings) {
    auto made = NameService::create(*engine_, {.resolv_conf_path = "", .hosts_path = ""}, settings);
    ASSERT_TRUE(made);
    names_ = std::move(*made);
  }

  std::string ask(const std::string& name) {
    Client client(*engine_);
    names_->resolver().resolve(client.lookup, host(name));
    engine_->run();
    const auto& addresses = client.lookup.answer().addresses;
    return addresses.empty() ? "" : addresses.front().to_string();
  }

  [[nodiscard]] std::vector<std::uint64_t> questions() const {
    std::vector<std::uint64_t> counts;
    for (const auto& figures : names_->figures()) counts.push_back(figures.counted.questions);
    return counts;
  }

  std::unique_ptr<EpollEngine> engine_ = EpollEngine::create().value();
  Answering one_{*engine_, 1}, two_{*engine_, 2}, three_{*engine_, 3};
  std::unique_ptr<NameService> names_;
};

TEST_F(NameServiceTest, EachNameIsAskedOfItsServers) {
  use({.servers = {{.suffixes = {host("corp.example")}, .servers = {one_.where()}}, {.servers = {two_.where()}}}});
  EXPECT_EQ(ask("a.corp.example"), "192.0.2.1");
  EXPECT_EQ(ask("a.example"), "192.0.2.2");
  EXPECT_EQ(ask("b.example"), "192.0.2.2");
  EXPECT_EQ(questions(), (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(names_->figures()[0].suffixes, std::vector{host("corp.example")});
  EXPECT_EQ(names_->figures()[1].servers, std::vector{two_.where()});
}

TEST_F(NameServiceTest, WhatStaysTheSameIsKept) {
  const NameServers corp{.suffixes = {host("corp.example")}, .servers = {one_.where()}};
  const NameServers rest{.servers = {two_.where()}};
  use({.servers = {corp, rest}});
  EXPECT_EQ(ask("a.corp.example"), "192.0.2.1");
  EXPECT_EQ(ask("a.example"), "192.0.2.2");
  EXPECT_TRUE(names_->adopt({.servers = {rest, corp}}));
  EXPECT_EQ(ask("a.corp.example"), "192.0.2.1");
  EXPECT_EQ(ask("a.example"), "192.0.2.2");
  EXPECT_EQ(questions(), (std::vector<std::uint64_t>{2, 2})) << "the cache and the figures stayed";

  NameServers moved = corp;
  moved.servers = {three_.where()};
  EXPECT_TRUE(names_->adopt({.servers = {moved, rest}}));
  EXPECT_EQ(ask("a.corp.example"), "192.0.2.3");
  EXPECT_EQ(ask("a.example"), "192.0.2.2");
  EXPECT_EQ(questions(), (std::vector<std::uint64_t>{2, 2}));
  EXPECT_EQ(one_.questions(), 2);

  // The same servers for more names.
  moved.suffixes.push_back(host("a.example"));
  EXPECT_TRUE(names_->adopt({.servers = {moved, rest}}));
  EXPECT_EQ(ask("a.example"), "192.0.2.3");
  EXPECT_EQ(ask("a.corp.example"), "192.0.2.3");
  EXPECT_EQ(questions(), (std::vector<std::uint64_t>{4, 2}));
}

TEST_F(NameServiceTest, TwoTablesWithTheSameServersAreTwo) {
  const NameServers corp{.suffixes = {host("corp.example")}, .servers = {one_.where()}};
  const NameServers rest{.servers = {one_.where()}};
  use({.servers = {corp, rest}});
  EXPECT_EQ(ask("a.corp.example"), "192.0.2.1");
  EXPECT_TRUE(names_->adopt({.servers = {corp, rest}}));
  EXPECT_EQ(ask("a.example"), "192.0.2.1");
  EXPECT_EQ(questions(), (std::vector<std::uint64_t>{2, 2}));
}

TEST_F(NameServiceTest, AQuestionThatIsOpenGoesToTheNewServers) {
  one_.silent = true;
  use({.servers = {{.servers = {one_.where()}}}});
  Client client(*engine_);
  names_->resolver().resolve(client.lookup, host("a.example"));
  EXPECT_TRUE(names_->adopt({.servers = {{.servers = {two_.where()}}}}));
  engine_->run();
  EXPECT_EQ(client.lookup.answer().addresses, std::vector{Address::v4(192, 0, 2, 2)});
}

TEST_F(NameServiceTest, OverridesComeAndGo) {
  const NameServers rest{.servers = {one_.where()}};
  auto overrides = std::make_shared<HostsTable>();
  overrides->add(Address::v4(10, 1, 2, 3), host("a.example"));
  use({.servers = {rest}, .overrides = overrides});
  EXPECT_EQ(ask("a.example"), "10.1.2.3");
  EXPECT_TRUE(names_->adopt({.servers = {rest}}));
  EXPECT_EQ(ask("a.example"), "192.0.2.1");
  EXPECT_TRUE(names_->adopt({.servers = {rest}, .overrides = overrides}));
  EXPECT_EQ(ask("a.example"), "10.1.2.3");
}

TEST_F(NameServiceTest, WhatCannotBeTakenChangesNothing) {
  const std::string unreadable = testing::TempDir();  // a folder is no resolv.conf
  auto made = NameService::create(*engine_, {.resolv_conf_path = unreadable, .hosts_path = ""},
                                  {.servers = {{.servers = {one_.where()}}}});
  ASSERT_TRUE(made);
  names_ = std::move(*made);
  EXPECT_EQ(ask("a.example"), "192.0.2.1");
  EXPECT_FALSE(names_->adopt({.servers = {{.suffixes = {host("x.example")}, .servers = {two_.where()}}}}));
  EXPECT_EQ(ask("b.x.example"), "192.0.2.1");
}

}  // namespace
}  // namespace stile::resolve
