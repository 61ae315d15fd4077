// Against a real dnsmasq on loopback, and against servers that misbehave as told.
#include "resolve/cares_resolver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "resolve/caching_resolver.h"
#include "resolve/name_server_for_tests.h"
#include "sys/net_probe.h"
#include "sys/sockaddr.h"
#include "sys/unique_fd.h"

namespace stile::resolve {
namespace {

using namespace std::chrono_literals;
using engine::EpollEngine;
using engine::Status;
using Texts = std::vector<std::string>;

constexpr const char* dnsmasq_path = "/usr/sbin/dnsmasq";
constexpr std::uint8_t rcode_formerr = 1;
constexpr std::uint8_t rcode_servfail = 2;
constexpr std::uint8_t rcode_nxdomain = 3;
constexpr std::uint8_t rcode_notimp = 4;
constexpr std::uint8_t rcode_refused = 5;

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

Endpoint loopback(std::uint16_t port) {
  return {.address = Address::v4(127, 0, 0, 1), .port = port};
}

/// "192.0.2.53:53,127.0.0.1:5353"
std::vector<DnsServer> servers_of(const std::string& text) {
  std::vector<DnsServer> servers;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) servers.push_back(Endpoint::parse(word).value());
  return servers;
}

/// A TCP port that was free a moment ago; UDP ports of that number are as likely free.
std::uint16_t free_port() {
  const sys::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sys::SocketAddress address(loopback(0));
  if (::bind(fd.get(), &address.generic, address.length) != 0) return 0;
  if (::getsockname(fd.get(), &address.generic, &address.length) != 0) return 0;
  return address.endpoint().port;
}

bool accepts(std::uint16_t port) {
  const sys::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sys::SocketAddress address(loopback(port));
  return ::connect(fd.get(), &address.generic, address.length) == 0;
}

/// A dnsmasq of our own, gone with the object.
class Dnsmasq {
 public:
  explicit Dnsmasq(const Texts& records) {
    for (int tries = 0; tries < 5 && !running(); ++tries) launch(records);
  }
  ~Dnsmasq() { end(); }
  Dnsmasq(const Dnsmasq&) = delete;
  Dnsmasq& operator=(const Dnsmasq&) = delete;

  [[nodiscard]] bool running() const { return pid_ > 0; }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void launch(const Texts& records) {
    port_ = free_port();
    Texts arguments{dnsmasq_path,        "--keep-in-foreground",       "--no-hosts",        "--no-resolv",
                    "--bind-interfaces", "--listen-address=127.0.0.1", "--conf-file=",      "--pid-file=",
                    "--user=",           "--log-facility=/dev/null",   "--cache-size=1000", "--local=/test/"};
    arguments.push_back("--port=" + std::to_string(port_));
    arguments.insert(arguments.end(), records.begin(), records.end());
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execv(dnsmasq_path, argv.data());
      ::_exit(127);
    }
    for (int waited = 0; waited < 250 && !accepts(port_); ++waited) std::this_thread::sleep_for(20ms);
    if (!accepts(port_)) end();
  }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

/// Answers every question in one way, or not at all.
class OddServer final : public NameServerForTests {
 public:
  enum class Way : std::uint8_t { silent, rcode, soa, garbage };

  OddServer(EpollEngine& engine, Way way, std::uint8_t rcode, const Endpoint& local)
      : NameServerForTests(engine, local), way_(way), rcode_(rcode) {}

 private:
  std::optional<Octets> answer(const Octets& question) override {
    if (way_ == Way::silent) return std::nullopt;
    if (way_ == Way::garbage) return Octets(question.begin(), question.begin() + 2);
    Octets octets = response(question);
    octets[3] |= rcode_;
    if (way_ == Way::soa) {
      octets[9] = 1;
      const Octets soa{0xC0, 12, 0, 6, 0, 1, 0, 0, 14, 16, 0, 22, 0, 0, 0, 0, 0,
                       1,    0,  0, 0, 2, 0, 0, 0, 3,  0,  0, 0,  4, 0, 0, 0, 77};
      octets.insert(octets.end(), soa.begin(), soa.end());
    }
    return octets;
  }

  Way way_;
  std::uint8_t rcode_;
};

class CaresResolverTest : public testing::Test {
 protected:
  /// What came of one question.
  struct Heard final : Asker {
    explicit Heard(EpollEngine& loop) : engine(loop) {}
    void on_family(Family family, FamilyAnswer answer) override {
      auto& half = family == Family::ipv4 ? ipv4 : ipv6;
      EXPECT_FALSE(half);
      half = std::move(answer);
      if (ipv4 && ipv6) engine.stop();
    }
    void on_name(NameAnswer answer) override {
      EXPECT_FALSE(named);
      named = std::move(answer);
      engine.stop();
    }
    [[nodiscard]] static Texts texts(const std::optional<FamilyAnswer>& half) {
      Texts texts;
      for (const Address& address : half->addresses) texts.push_back(address.to_string());
      return texts;
    }
    EpollEngine& engine;
    std::optional<FamilyAnswer> ipv4;
    std::optional<FamilyAnswer> ipv6;
    std::optional<NameAnswer> named;
  };

  CaresResolverTest() { closed_.bind<&CaresResolverTest::on_closed>(this); }

  static void SetUpTestSuite() {
    if (::access(dnsmasq_path, X_OK) != 0) return;
    Texts records{"--host-record=both.test,192.0.2.1,2001:db8::1,77",
                  "--host-record=four.test,192.0.2.4,60",
                  "--host-record=six.test,2001:db8::6,60",
                  "--host-record=mapped.test,::ffff:192.0.2.9,60",
                  "--host-record=zero.test,192.0.2.8,0",
                  "--cname=alias.test,alias2.test",
                  "--cname=alias2.test,both.test",
                  "--txt-record=text.test,hello",
                  "--ptr-record=7.2.0.192.in-addr.arpa,Pointed.Test",
                  "--ptr-record=7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa,six-7.test",
                  "--ptr-record=8.2.0.192.in-addr.arpa,-not a host",
                  "--ptr-record=9.2.0.192.in-addr.arpa,127.0.0.1",
                  "--cname=10.2.0.192.in-addr.arpa,7.2.0.192.in-addr.arpa",
                  "--local=/in-addr.arpa/",
                  "--local-ttl=33"};
    for (int i = 0; i < 150; ++i) {
      records.push_back("--host-record=big.test,192.0.2." + std::to_string(i) + ",2001:db8::" + std::to_string(i));
    }
    dnsmasq_ = std::make_unique<Dnsmasq>(records);
  }
  static void TearDownTestSuite() { dnsmasq_.reset(); }

  void TearDown() override {
    for (auto& server : odd_servers_) server->close();
    if (resolver_) close();
    engine_->stop();
    engine_->run();
  }

  /// True when the real server is there to be asked.
  [[nodiscard]] static bool has_dnsmasq() { return dnsmasq_ != nullptr && dnsmasq_->running(); }
  [[nodiscard]] static std::string dnsmasq_address() { return "127.0.0.1:" + std::to_string(dnsmasq_->port()); }

  std::string odd(OddServer::Way way, std::uint8_t rcode = 0, const Endpoint& local = loopback(0)) {
    odd_servers_.push_back(std::make_unique<OddServer>(*engine_, way, rcode, local));
    return odd_servers_.back()->where().to_string();
  }

  void use(CaresResolver::Options options) {
    auto made = CaresResolver::create(*engine_, options);
    ASSERT_TRUE(made);
    resolver_ = std::move(*made);
  }
  void use(const std::string& servers) {
    use(CaresResolver::Options{.servers = servers_of(servers), .try_time = 200ms, .total = 400ms});
  }
  /// For an answer that no silence may hold up: one that waits for it takes this long at least.
  static constexpr std::chrono::seconds patience{20};
  void use_patiently(const std::string& servers) {
    use(CaresResolver::Options{.servers = servers_of(servers), .try_time = patience, .total = 2 * patience});
  }

  void close() {
    resolver_->close(closed_);
    engine_->run();
    resolver_.reset();
  }
  void on_closed(Status) { engine_->stop(); }

  void ask(Heard& heard, const std::string& name) {
    started_ = std::chrono::steady_clock::now();
    resolver_->ask(next_id_++, host(name), heard);
    if (!heard.ipv4 || !heard.ipv6) engine_->run();
    took_ = std::chrono::steady_clock::now() - started_;
  }

  NameAnswer name_of(const std::string& address) {
    Heard heard(*engine_);
    started_ = std::chrono::steady_clock::now();
    resolver_->ask_name(next_id_++, *Address::parse(address), heard);
    if (!heard.named) engine_->run();
    took_ = std::chrono::steady_clock::now() - started_;
    return std::move(*heard.named);
  }

  /// Both families' reasons, where both are the same.
  Reason reason_of(const std::string& name) {
    Heard heard(*engine_);
    ask(heard, name);
    EXPECT_EQ(heard.ipv4->reason, heard.ipv6->reason);
    return heard.ipv4->reason;
  }

  std::unique_ptr<EpollEngine> engine_ = EpollEngine::create().value();
  std::unique_ptr<CaresResolver> resolver_;
  std::vector<std::unique_ptr<OddServer>> odd_servers_;
  engine::Operation closed_;
  std::uint64_t next_id_ = 1;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::duration took_{};
  static std::unique_ptr<Dnsmasq> dnsmasq_;
};

std::unique_ptr<Dnsmasq> CaresResolverTest::dnsmasq_;

#define NEED_DNSMASQ() \
  if (!has_dnsmasq()) GTEST_SKIP() << dnsmasq_path << " is missing or did not start"

TEST_F(CaresResolverTest, AsksBothFamilies) {
  NEED_DNSMASQ();
  use(dnsmasq_address());
  Heard heard(*engine_);
  ask(heard, "both.test");
  EXPECT_EQ(Heard::texts(heard.ipv4), Texts{"192.0.2.1"});
  EXPECT_EQ(Heard::texts(heard.ipv6), Texts{"2001:db8::1"});
  EXPECT_EQ(heard.ipv4->reason, Reason::none);
  EXPECT_EQ(heard.ipv4->ttl, 77s);
  EXPECT_EQ(heard.ipv6->ttl, 77s);
}

TEST_F(CaresResolverTest, AFamilyWithoutAddressesIsDenied) {
  NEED_DNSMASQ();
  use(dnsmasq_address());
  Heard four(*engine_);
  ask(four, "four.test");
  EXPECT_EQ(Heard::texts(four.ipv4), Texts{"192.0.2.4"});
  EXPECT_EQ(four.ipv6->reason, Reason::dns_not_found);
  Heard six(*engine_);
  ask(six, "six.test");
  EXPECT_EQ(six.ipv4->reason, Reason::dns_not_found);
  EXPECT_EQ(Heard::texts(six.ipv6), Texts{"2001:db8::6"});
  EXPECT_EQ(reason_of("text.test"), Reason::dns_not_found);
}

TEST_F(CaresResolverTest, NamesThatDoNotExistAreDenied) {
  NEED_DNSMASQ();
  use(dnsmasq_address());
  EXPECT_EQ(reason_of("nobody.test"), Reason::dns_not_found);
}

TEST_F(CaresResolverTest, NamesOutsideItsZonesAreRefusedByTheServer) {
  NEED_DNSMASQ();
  use(dnsmasq_address());
  EXPECT_EQ(reason_of("elsewhere.example"), Reason::dns_failed);
}

TEST_F(CaresResolverTest, FollowsAliases) {
  NEED_DNSMASQ();
  use(dnsmasq_address());
  Heard heard(*engine_);
  ask(heard, "alias.test");
  EXPECT_EQ(Heard::texts(heard.ipv4), Texts{"192.0.2.1"});
  EXPECT_EQ(Heard::texts(heard.ipv6), Texts{"2001:db8::1"});
}

TEST_F(CaresResolverTest, AsksForTheNameOfAnAddress) {
  NEED_DNSMASQ();
  use(dnsmasq_address());
  const NameAnswer four = name_of("192.0.2.7");
  EXPECT_EQ(four.reason, Reason::none);
  EXPECT_EQ(four.name, host("pointed.test"));
  EXPECT_EQ(four.ttl, 33s);
  EXPECT_EQ(name_of("2001:db8::7").name, host("six-7.test"));
  EXPECT_EQ(name_of("192.0.2.10").name, host("pointed.test"));  // behind an alias, RFC 2317
  EXPECT_EQ(name_of("192.0.2.1").name, host("both.test"));
}

TEST_F(CaresResolverTest, ANameThatIsNoHostsNameIsNone) {
  NEED_DNSMASQ();
  use(dnsmasq_address());
  for (const char* text : {"192.0.2.8", "192.0.2.9"}) {
    const NameAnswer answer = name_of(text);
    EXPECT_EQ(answer.reason, Reason::dns_not_found) << text;
    EXPECT_EQ(answer.name, std::nullopt) << text;
    EXPECT_EQ(answer.ttl, 33s) << text;
  }
  EXPECT_EQ(name_of("192.0.2.251").reason, Reason::dns_not_found);
  EXPECT_EQ(name_of("2001:db8:1::1").reason, Reason::dns_failed);  // refused: not its zone
}

TEST_F(CaresResolverTest, AddressesNamesFailLikeNames) {
  use(odd(OddServer::Way::soa, rcode_nxdomain));
  const NameAnswer denied = name_of("192.0.2.1");
  EXPECT_EQ(denied.reason, Reason::dns_not_found);
  EXPECT_EQ(denied.ttl, 77s);
  close();
  use(odd(OddServer::Way::garbage));
  EXPECT_EQ(name_of("192.0.2.1").reason, Reason::dns_failed);
  close();
  use(odd(OddServer::Way::silent));
  EXPECT_EQ(name_of("192.0.2.1").reason, Reason::dns_failed);
  EXPECT_GE(took_, 190ms);
  EXPECT_EQ(odd_servers_.back()->questions(), 2);
}

TEST_F(CaresResolverTest, MappedAddressesAreIpv4) {
  NEED_DNSMASQ();
  use(dnsmasq_address());
  Heard heard(*engine_);
  ask(heard, "mapped.test");
  EXPECT_EQ(Heard::texts(heard.ipv6), Texts{"192.0.2.9"});
}

TEST_F(CaresResolverTest, LargeAnswersComeByTcpAndAreCut) {
  NEED_DNSMASQ();
  use(CaresResolver::Options{.servers = servers_of(dnsmasq_address())});
  Heard heard(*engine_);
  ask(heard, "big.test");
  EXPECT_EQ(heard.ipv4->addresses.size(), limits::candidates_max);
  EXPECT_EQ(heard.ipv6->addresses.size(), limits::candidates_max);
}

TEST_F(CaresResolverTest, ReadsResolvConf) {
  const std::string path = testing::TempDir() + "stile-resolv-test-" + std::to_string(::getpid());
  std::ofstream(path) << "search test\noptions ndots:3 rotate\nnameserver 127.0.0.1\n";
  use(CaresResolver::Options{.resolv_conf_path = path, .try_time = 100ms, .total = 200ms});
  std::remove(path.c_str());
  Heard heard(*engine_);
  ask(heard, "both");  // from port 53 on loopback, whatever is or is not there: never both.test
  EXPECT_NE(heard.ipv4->reason, Reason::none);
}

TEST_F(CaresResolverTest, ResolvConfIsReadAgainWhenItChanges) {
  const std::string path = testing::TempDir() + "stile-resolv-test-" + std::to_string(::getpid());
  const std::uint16_t port = free_port();
  odd(OddServer::Way::silent, 0, {Address::v4(127, 0, 0, 1), port});
  odd(OddServer::Way::soa, rcode_nxdomain, {Address::v4(127, 0, 0, 22), port});
  std::ofstream(path) << "nameserver 127.0.0.1\n";
  use({.resolv_conf_path = path, .port = port, .try_time = patience, .total = 2 * patience});
  // Another length than before: two files written in one tick of the clock differ by nothing else.
  std::ofstream(path) << "nameserver 127.0.0.22\n";
  // The first server stays silent; the question goes on to the second as soon as that is known.
  EXPECT_EQ(reason_of("a.test"), Reason::dns_not_found);
  EXPECT_LT(took_, patience);
  EXPECT_EQ(odd_servers_[1]->questions(), 2);
  EXPECT_EQ(reason_of("b.test"), Reason::dns_not_found);
  EXPECT_EQ(odd_servers_[1]->questions(), 4);
  // A file that is gone changes nothing; it is looked at once a second.
  std::remove(path.c_str());
  std::this_thread::sleep_for(1100ms);
  engine_->stop();
  engine_->run();
  EXPECT_EQ(reason_of("c.test"), Reason::dns_not_found);
}

TEST_F(CaresResolverTest, NoSearchList) {  // security reference, TN6
  NEED_DNSMASQ();
  const std::string path = testing::TempDir() + "stile-resolv-test-" + std::to_string(::getpid());
  std::ofstream(path) << "search test\noptions ndots:3\nnameserver 127.0.0.1\n";
  ::setenv("LOCALDOMAIN", "test", 1);
  use(CaresResolver::Options{.resolv_conf_path = path, .port = dnsmasq_->port()});
  std::remove(path.c_str());
  EXPECT_NE(reason_of("both"), Reason::none);
  ::unsetenv("LOCALDOMAIN");
}

TEST_F(CaresResolverTest, ASilentServerIsAskedTwiceAndFails) {
  use(odd(OddServer::Way::silent));
  EXPECT_EQ(reason_of("a.test"), Reason::dns_failed);
  EXPECT_GE(took_, 390ms);
  EXPECT_EQ(odd_servers_[0]->questions(), 4);
}

TEST_F(CaresResolverTest, AServerThatIsNotThereFailsAtOnce) {
  use_patiently("127.0.0.1:" + std::to_string(free_port()));
  EXPECT_EQ(reason_of("a.test"), Reason::dns_failed);
  EXPECT_LT(took_, patience);
}

TEST_F(CaresResolverTest, ResponseCodes) {  // protocol reference, section 2.5
  const std::vector<std::pair<std::uint8_t, Reason>> rows{
      {std::uint8_t{0}, Reason::dns_not_found}, {rcode_formerr, Reason::dns_failed},
      {rcode_servfail, Reason::dns_not_found},  {rcode_nxdomain, Reason::dns_not_found},
      {rcode_notimp, Reason::dns_failed},       {rcode_refused, Reason::dns_failed}};
  for (const auto& [rcode, reason] : rows) {
    use_patiently(odd(OddServer::Way::rcode, rcode));
    EXPECT_EQ(reason_of("a.test"), reason) << int{rcode};
    EXPECT_LT(took_, patience);
    close();
  }
}

TEST_F(CaresResolverTest, GarbageIsNoAnswer) {
  use(odd(OddServer::Way::garbage));
  EXPECT_EQ(reason_of("a.test"), Reason::dns_failed);
}

TEST_F(CaresResolverTest, DenialsCarryTheirTime) {  // RFC 2308 section 5
  use(odd(OddServer::Way::soa, rcode_nxdomain));
  Heard heard(*engine_);
  ask(heard, "a.test");
  EXPECT_EQ(heard.ipv4->reason, Reason::dns_not_found);
  EXPECT_EQ(heard.ipv4->ttl, 77s);
}

TEST_F(CaresResolverTest, AFailingServerIsFollowedByTheNext) {
  NEED_DNSMASQ();
  for (const std::uint8_t rcode : {rcode_formerr, rcode_servfail, rcode_notimp, rcode_refused}) {
    use_patiently(odd(OddServer::Way::rcode, rcode) + "," + dnsmasq_address());
    EXPECT_EQ(reason_of("both.test"), Reason::none) << int{rcode};
    EXPECT_LT(took_, patience);
    close();
  }
  use(odd(OddServer::Way::silent) + "," + dnsmasq_address());
  EXPECT_EQ(reason_of("both.test"), Reason::none);
  EXPECT_GE(took_, 190ms);
}

TEST_F(CaresResolverTest, ADenialIsNotAskedElsewhere) {
  const std::string denying = odd(OddServer::Way::rcode, rcode_nxdomain);
  const std::string other = odd(OddServer::Way::rcode, rcode_refused);
  use(denying + "," + other);
  EXPECT_EQ(reason_of("a.test"), Reason::dns_not_found);
  EXPECT_EQ(odd_servers_[1]->questions(), 0);
}

TEST_F(CaresResolverTest, AServersFailureIsBetterKnownThanSilence) {
  use(odd(OddServer::Way::rcode, rcode_servfail) + "," + odd(OddServer::Way::silent));
  EXPECT_EQ(reason_of("a.test"), Reason::dns_not_found);
}

TEST_F(CaresResolverTest, NamedServersTakeThePlaceOfResolvConf) {
  const std::string path = testing::TempDir() + "stile-resolv-test-" + std::to_string(::getpid());
  std::ofstream(path) << "nameserver 127.0.0.1\n";
  odd(OddServer::Way::rcode, rcode_nxdomain);
  use({.servers = servers_of(odd_servers_[0]->where().to_string()), .resolv_conf_path = path, .port = 1});
  std::remove(path.c_str());
  EXPECT_EQ(reason_of("a.test"), Reason::dns_not_found);
  EXPECT_EQ(odd_servers_[0]->questions(), 2);
}

TEST_F(CaresResolverTest, AsksByTcpWhereTold) {
  NEED_DNSMASQ();
  // Only TCP finds dnsmasq there: datagrams to that port meet a server that denies everything.
  const std::string udp = odd(OddServer::Way::rcode, rcode_nxdomain, {Address::v4(127, 0, 0, 23), dnsmasq_->port()});
  use(udp);
  EXPECT_EQ(reason_of("both.test"), Reason::dns_not_found);
  close();
  use({.servers = servers_of(udp), .transport = Transport::tcp, .try_time = patience, .total = 2 * patience});
  EXPECT_EQ(reason_of("both.test"), Reason::dns_failed) << "nobody takes a connection there";
  EXPECT_LT(took_, patience);
  EXPECT_EQ(odd_servers_[0]->questions(), 2) << "no datagram";
  close();
  use({.servers = servers_of(dnsmasq_address()), .transport = Transport::tcp});
  EXPECT_EQ(reason_of("both.test"), Reason::none);
  EXPECT_EQ(name_of("192.0.2.7").name, host("pointed.test"));
  Heard heard(*engine_);
  ask(heard, "big.test");
  EXPECT_EQ(heard.ipv4->addresses.size(), limits::candidates_max);
}

TEST_F(CaresResolverTest, AConnectionThatIsRefusedIsFollowedByTheNextServer) {
  NEED_DNSMASQ();
  use({.servers = servers_of("127.0.0.1:" + std::to_string(free_port()) + "," + dnsmasq_address()),
       .transport = Transport::tcp,
       .try_time = patience,
       .total = 2 * patience});
  EXPECT_EQ(reason_of("both.test"), Reason::none);
  EXPECT_LT(took_, patience);
}

TEST_F(CaresResolverTest, AServerThatWasSilentIsAskedLast) {
  NEED_DNSMASQ();
  use({.servers = servers_of(odd(OddServer::Way::silent) + "," + dnsmasq_address()), .try_time = 500ms, .total = 20s});
  EXPECT_EQ(reason_of("both.test"), Reason::none);
  EXPECT_EQ(odd_servers_[0]->questions(), 2);
  for (const char* name : {"four.test", "six.test", "nobody.test"}) {
    Heard heard(*engine_);
    ask(heard, name);
  }
  EXPECT_EQ(odd_servers_[0]->questions(), 2) << "asked again though it was silent";
  const CaresResolver::Figures figures = resolver_->figures();
  EXPECT_EQ(figures.questions, 10U);
  EXPECT_EQ(figures.failures, 2U);
}

TEST_F(CaresResolverTest, WhereAllAreSilentTheirOrderStays) {
  odd(OddServer::Way::silent);
  odd(OddServer::Way::silent);
  use({.servers = servers_of(odd_servers_[0]->where().to_string() + "," + odd_servers_[1]->where().to_string()),
       .try_time = 100ms,
       .total = 250ms});
  for (int i = 1; i < 3; ++i) {
    EXPECT_EQ(reason_of("a.test"), Reason::dns_failed);
    EXPECT_EQ(odd_servers_[1]->questions(), 2 * i) << "each got its turn";
  }
}

TEST_F(CaresResolverTest, FiguresAreCountedElsewhereToo) {
  Counter questions, failures;
  use({.servers = servers_of(odd(OddServer::Way::rcode, rcode_servfail) + "," + odd(OddServer::Way::rcode, 0)),
       .questions = &questions,
       .failures = &failures});
  EXPECT_EQ(reason_of("a.test"), Reason::dns_not_found);
  EXPECT_EQ(questions.value(), 4U);
  EXPECT_EQ(failures.value(), 2U);
  EXPECT_EQ(resolver_->figures().questions, 4U);
  EXPECT_EQ(resolver_->figures().failures, 2U);
}

TEST_F(CaresResolverTest, CloseWithQuestionsInFlight) {
  use(odd(OddServer::Way::silent) + "," + odd(OddServer::Way::silent));
  Heard heard(*engine_);
  for (std::uint64_t id = 100; id < 150; ++id) {
    resolver_->ask(id, host("n" + std::to_string(id) + ".test"), heard);
  }
  resolver_->forget(120);
  engine_->stop();
  engine_->run();
  close();
  EXPECT_FALSE(heard.ipv4);
  EXPECT_FALSE(heard.ipv6);
}

TEST_F(CaresResolverTest, PrefersIpv6WhereThereIsARoute) {
  use(odd(OddServer::Way::silent));
  EXPECT_EQ(resolver_->prefers_ipv6(), sys::has_route(*Address::parse("2000::1")));
}

TEST_F(CaresResolverTest, UnderTheCache) {
  NEED_DNSMASQ();
  use(CaresResolver::Options{.servers = servers_of(dnsmasq_address())});
  CachingResolver caching(*engine_, *resolver_, {});
  struct Client {
    void on_resolved(Status) {
      if (--*open == 0) engine->stop();
    }
    EpollEngine* engine;
    int* open;
    Lookup lookup;
  };
  // Names that are there, are not, and are asked twice, all at once; not more than the server's socket holds.
  int open = 150;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 150; ++i) {
    clients.push_back(std::make_unique<Client>(engine_.get(), &open));
    clients.back()->lookup.bind<&Client::on_resolved>(clients.back().get());
    const std::string name = i % 3 == 0 ? "both.test" : "n" + std::to_string(i / 2) + ".test";
    caching.resolve(clients.back()->lookup, host(name));
  }
  engine_->run();
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const Answer& answer = clients[i]->lookup.answer();
    EXPECT_EQ(answer.reason, i % 3 == 0 ? Reason::none : Reason::dns_not_found) << i;
    EXPECT_EQ(answer.addresses.size(), i % 3 == 0 ? 2U : 0U) << i;
  }
  caching.close(closed_);
  engine_->run();
  resolver_.reset();
}

}  // namespace
}  // namespace stile::resolve
