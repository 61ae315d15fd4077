// Names, dialling, the conversation and the hand-over, with each call of the engine failing in turn.
#include "route/chain.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "engine/sim/call_sweep_for_tests.h"
#include "route/proxy_for_tests.h"
#include "sys/errno_table.h"

namespace stile::route {
namespace {

using engine::SimBehaviour;
using engine::Status;

const std::string greeting = octets({5, 1, 0});
const std::string login_greeting = octets({5, 2, 0, 2});
const std::string login = octets({1, 5}) + "alice" + octets({6}) + "secret";
const std::string request = octets({5, 1, 0, 1, 192, 0, 2, 10, 0, 80});
const std::string granted = octets({5, 0, 0, 1, 198, 51, 100, 7, 0x9C, 0x40});
const std::string refused = octets({5, 5, 0, 1, 0, 0, 0, 0, 0, 0});

Script logging_in() {
  return {.turns = {{login_greeting, octets({5, 2})}, {login, octets({1, 0})}, {request, granted}}};
}

Script plain(const std::string& reply = granted) {
  return {.turns = {{greeting, octets({5, 0})}, {request, reply}}};
}

/// A connection and what became of it.
class Customer {
 public:
  Customer(ClientRig& rig, const Hop& proxy, const Ask& ask) : Customer(rig, std::vector{proxy}, ask) {}
  Customer(ClientRig& rig, std::vector<Hop> hops, const Ask& ask)
      : rig_(rig), hops_(std::move(hops)), connection_(rig.engine, rig.resolver, pointers(hops_), ask) {
    connection_.bind<&Customer::on_connected>(this);
    stream_.bind<&Customer::ignore>(this);
  }
  ~Customer() { stream_.close(rig_.engine); }
  Customer(const Customer&) = delete;
  Customer& operator=(const Customer&) = delete;

  void start() {
    connection_.start();
    EXPECT_EQ(completions_, 0) << "completed inline";
    EXPECT_TRUE(connection_.pending());
  }
  Obstacle run() {
    start();
    EXPECT_TRUE(rig_.engine.run_until_idle());
    EXPECT_EQ(completions_, 1);
    return connection_.trouble().obstacle;
  }
  /// What is in the stream by now.
  std::string read_stream() {
    std::array<std::uint8_t, 256> buffer;
    const auto received = stream_.receive(rig_.engine, buffer);
    if (!received) return "nothing";
    return {buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*received)};
  }
  [[nodiscard]] Chain& connection() { return connection_; }
  [[nodiscard]] int completions() const { return completions_; }

 private:
  void on_connected(Status) {
    ++completions_;
    EXPECT_FALSE(connection_.pending());
    const bool whole = connection_.trouble().obstacle == Obstacle::none && !connection_.awaits_peer();
    if (whole) connection_.take(stream_);
  }
  void ignore(Status) {}

  static std::vector<const Hop*> pointers(const std::vector<Hop>& hops) {
    std::vector<const Hop*> pointers;
    for (const Hop& hop : hops) pointers.push_back(&hop);
    return pointers;
  }

  ClientRig& rig_;
  std::vector<Hop> hops_;
  Chain connection_;
  protect::Line stream_;
  int completions_ = 0;
};

const Ask to_literal{.command = wire::Command::connect, .target = target_of("192.0.2.10")};
const Ask to_name{.command = wire::Command::connect, .target = target_of("example.com")};

class ChainTest : public ProxyTest {};

TEST_F(ChainTest, HandsOverTheStreamWithNothingReadOfIt) {
  ScriptedProxy& proxy = serve(plain(granted + "SSH-2.0"));
  Customer customer(rig_, proxy_at("socks5h://127.0.0.1"), to_literal);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(customer.connection().bound().target()->to_string(), "198.51.100.7:40000");
  EXPECT_EQ(customer.connection().peer().to_string(), "127.0.0.1:1080");
  EXPECT_EQ(customer.read_stream(), "SSH-2.0");
  EXPECT_EQ(proxy.heard(), greeting + request);
}

TEST_F(ChainTest, LogsIn) {
  ScriptedProxy& proxy =
      serve({.turns = {{login_greeting, octets({5, 2})}, {login, octets({1, 0})}, {request, granted}}});
  Customer customer(rig_, proxy_at("socks5h://alice:secret@127.0.0.1"), to_literal);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(proxy.heard(), login_greeting + login + request);
}

// Threat TP1: what the proxy has to resolve is never resolved here.
TEST_F(ChainTest, NamesGoToTheProxyUnderSocks5h) {
  const std::string by_name = octets({5, 1, 0, 3, 11}) + "example.com" + octets({0, 80});
  ScriptedProxy& proxy = serve({.turns = {{greeting, octets({5, 0})}, {by_name, granted}}});
  Customer customer(rig_, proxy_at("socks5h://127.0.0.1"), to_name);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(proxy.heard(), greeting + by_name);
  EXPECT_EQ(rig_.questions(), 0U);
}

TEST_F(ChainTest, NamesAreResolvedHereUnderSocks5) {
  rig_.add_name("example.com", {Address::v4(192, 0, 2, 10)});
  ScriptedProxy& proxy = serve(plain());
  Customer customer(rig_, proxy_at("socks5://127.0.0.1"), to_name);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(proxy.heard(), greeting + request);
}

TEST_F(ChainTest, Socks4TakesTheFirstIpv4Address) {
  rig_.add_name("example.com", {Address::v4(192, 0, 2, 10)}, {Address::parse("2001:db8::1").value()});
  const std::string request4 = octets({4, 1, 0, 80, 192, 0, 2, 10}) + "bob" + octets({0});
  ScriptedProxy& proxy = serve({.turns = {{request4, octets({0, 90, 0, 0, 0, 0, 0, 0})}}});
  Customer customer(rig_, proxy_at("socks4://bob@127.0.0.1"), to_name);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(proxy.heard(), request4);
}

TEST_F(ChainTest, Socks4HasNoIpv6) {
  Customer customer(rig_, proxy_at("socks4://127.0.0.1"), {.target = target_of("2001:db8::1")});
  EXPECT_EQ(customer.run(), Obstacle::target_family);
}

TEST_F(ChainTest, TheProxysNameIsResolvedAndItsAddressesTriedInTurn) {
  rig_.add_name("proxy.example", {Address::v4(127, 0, 0, 2), Address::v4(127, 0, 0, 1)});
  serve(plain());
  Customer customer(rig_, proxy_at("socks5h://proxy.example"), to_literal);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(customer.connection().peer().to_string(), "127.0.0.1:1080");
}

TEST_F(ChainTest, EveryObstacleIsTold) {
  const auto met = [this](std::string_view url, const Ask& ask) {
    Customer customer(rig_, proxy_at(url), ask);
    const Obstacle obstacle = customer.run();
    const session::Advice advice = explain(customer.connection().trouble());
    EXPECT_FALSE(advice.why.empty());
    EXPECT_EQ(customer.completions(), 1);
    return obstacle;
  };
  EXPECT_EQ(met("socks5h://nowhere.example", to_literal), Obstacle::proxy_name);
  EXPECT_EQ(met("socks5://127.0.0.1", to_name), Obstacle::target_name);
  EXPECT_EQ(met("socks5h://127.0.0.1", to_literal), Obstacle::dial);
  EXPECT_EQ(met("socks5h://alice@127.0.0.1", to_literal), Obstacle::login_half);
  serve(plain(refused));
  EXPECT_EQ(met("socks5h://127.0.0.1", to_literal), Obstacle::conversation);
  EXPECT_EQ(met("socks4://127.0.0.1", {.command = wire::Command::ping, .target = target_of("192.0.2.10")}),
            Obstacle::conversation);
}

// Threat TA8.
TEST_F(ChainTest, APasswordDoesNotCrossTheNetworkInClear) {
  const Endpoint afar{Address::v4(192, 0, 2, 1), 1080};
  ScriptedProxy& proxy = serve(
      {.turns = {{login_greeting, octets({5, 2})}, {login, octets({1, 0})}, {request, granted}}}, afar.to_string());
  Hop named = proxy_at("socks5h://alice:secret@192.0.2.1");
  {
    Customer customer(rig_, named, to_literal);
    EXPECT_EQ(customer.run(), Obstacle::clear_password);
    EXPECT_EQ(proxy.visitors(), 0) << "not even a connection";
  }
  rig_.add_name("proxy.example", {Address::v4(127, 0, 0, 1), afar.address});
  {
    Customer customer(rig_, proxy_at("socks5h://alice:secret@proxy.example"), to_literal);
    EXPECT_EQ(customer.run(), Obstacle::clear_password) << "one of its addresses is elsewhere";
  }
  named.clear_password_allowed = true;
  Customer customer(rig_, named, to_literal);
  EXPECT_EQ(customer.run(), Obstacle::none);
}

const std::string sealed_granted = sealed(granted + "SSH-2.0");

Script inside_tls() {
  return {.turns = {{"hi", "hi"},
                    {sealed(login_greeting), sealed(octets({5, 2}))},
                    {sealed(login), sealed(octets({1, 0}))},
                    {sealed(request), sealed_granted}}};
}

TEST_F(ChainTest, InsideTlsNothingIsLostAndAPasswordIsNotInClear) {
  ScriptedProxy& proxy = serve(inside_tls(), "192.0.2.1:1080");
  Customer customer(rig_, proxy_at("socks5h+tls://alice:secret@192.0.2.1"), to_literal);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(proxy.heard(), "hi" + sealed(login_greeting) + sealed(login) + sealed(request));
  EXPECT_EQ(customer.read_stream(), "SSH-2.0") << "it came in one message with the reply";
}

TEST_F(ChainTest, WhereTlsComesToNothingNotAnOctetIsSaidInClear) {
  for (const Script& script :
       {Script{.turns = {{"hi", octets({5, 0xFF})}}}, Script{.turns = {{"hi", octets({5})}}, .end = Script::End::fin},
        Script{.turns = {{"hi", ""}}, .end = Script::End::fin},
        Script{.turns = {{"hi", ""}}, .end = Script::End::reset}}) {
    ScriptedProxy& proxy = serve(script);
    Customer customer(rig_, proxy_at("socks5h+tls://127.0.0.1"), to_literal);
    EXPECT_EQ(customer.run(), Obstacle::protection);
    const Reason reason = customer.connection().trouble().reason;
    EXPECT_EQ(reason, script.end == Script::End::stay ? Reason::tls_handshake : Reason::none);
    EXPECT_EQ(proxy.heard(), "hi");
    TearDown();
  }
}

TEST_F(ChainTest, AStreamThatIsCutShortInsideTlsIsAProxyThatWent) {
  Script script = inside_tls();
  script.turns.resize(2);
  script.end = Script::End::fin;
  serve(script);
  Customer customer(rig_, proxy_at("socks5h+tls://alice:secret@127.0.0.1"), to_literal);
  EXPECT_EQ(customer.run(), Obstacle::conversation);
  EXPECT_EQ(customer.connection().trouble().failure.fault, session::ProxyFault::closed);
}

TEST_F(ChainTest, ARecordThatCannotBeTrustedEndsIt) {
  serve({.turns = {{"hi", "hi"}, {sealed(greeting), std::string(8, '\xFF')}}});
  Customer customer(rig_, proxy_at("socks5h+tls://127.0.0.1"), to_literal);
  EXPECT_EQ(customer.run(), Obstacle::protection);
  EXPECT_EQ(customer.connection().trouble().reason, Reason::tls_record);
}

TEST_F(ChainTest, AProxyThatStopsAtAnyOctetIsTold) {
  const std::string answers = octets({5, 0}) + granted;
  for (const Script::End end : {Script::End::fin, Script::End::reset, Script::End::stay}) {
    for (std::size_t size = 0; size < answers.size(); ++size) {
      SCOPED_TRACE(size);
      Script script{.turns = {{greeting, answers.substr(0, std::min<std::size_t>(size, 2))}}, .end = end};
      if (size >= 2) script.turns.push_back({request, answers.substr(2, size - 2)});
      serve(script);
      Customer customer(rig_, proxy_at("socks5h://127.0.0.1"), to_literal);
      EXPECT_EQ(customer.run(), Obstacle::conversation);
      const session::ProxyFault fault = customer.connection().trouble().failure.fault;
      EXPECT_EQ(fault, end == Script::End::fin     ? session::ProxyFault::closed
                       : end == Script::End::reset ? session::ProxyFault::lost
                                                   : session::ProxyFault::timed_out);
      TearDown();
    }
  }
}

// RFC 1928 section 3: "If the selected METHOD is X'FF' […] the client MUST close the connection."
TEST_F(ChainTest, AProxyThatRefusesEveryMethodIsLeftAtOnce) {
  ScriptedProxy& proxy = serve({.turns = {{greeting, octets({5, 0xFF})}}});
  Customer customer(rig_, proxy_at("socks5h://127.0.0.1"), to_literal);
  EXPECT_EQ(customer.run(), Obstacle::conversation);
  EXPECT_EQ(customer.connection().trouble().failure.fault, session::ProxyFault::no_method);
  EXPECT_TRUE(proxy.left()) << "the customer still exists, and has closed";
  EXPECT_EQ(proxy.heard(), greeting);
}

// A reset overtakes nothing here: what the proxy said before it is read first.
TEST_F(ChainTest, ARefusalBeforeAResetIsRead) {
  Script script = plain(refused);
  script.end = Script::End::reset;
  serve(script);
  Customer customer(rig_, proxy_at("socks5h://127.0.0.1"), to_literal);
  EXPECT_EQ(customer.run(), Obstacle::conversation);
  EXPECT_EQ(customer.connection().trouble().failure.fault, session::ProxyFault::refused);
  EXPECT_EQ(customer.connection().trouble().failure.code, 5);
}

// ── several hops ────────────────────────────────────────────────────────────────────────────────────────────────────

const std::string to_second = octets({5, 1, 0, 3, 11}) + "two.example" + octets({4, 56});
const std::string to_third = octets({5, 1, 0, 1, 203, 0, 113, 9, 4, 56});

std::vector<Hop> hops_of(std::initializer_list<std::string_view> urls) {
  std::vector<Hop> hops;
  for (const std::string_view url : urls) hops.push_back(proxy_at(url));
  return hops;
}

TEST_F(ChainTest, EachHopIsAskedForTheNextAndTheLastForTheTarget) {
  rig_.add_name("three.example", {Address::v4(203, 0, 113, 9)});
  const std::string connect = "CONNECT 192.0.2.10:80 HTTP/1.1\r\nHost: 192.0.2.10:80\r\n\r\n";
  ScriptedProxy& proxy = serve({.turns = {{greeting, octets({5, 0})},
                                          {to_second, granted},
                                          {greeting, octets({5, 0})},
                                          {to_third, granted},
                                          {connect, "HTTP/1.1 200 OK\r\n\r\nSSH-2.0"}}});
  Customer customer(rig_, hops_of({"socks5h://127.0.0.1", "socks5://two.example", "http://three.example:1080"}),
                    to_literal);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(proxy.heard(), greeting + to_second + greeting + to_third + connect);
  EXPECT_EQ(customer.read_stream(), "SSH-2.0");
  EXPECT_EQ(rig_.questions(), 1U) << "the third hop's name alone: the second does not take names";
}

TEST_F(ChainTest, OneProtectionLiesInsideTheOther) {
  const std::string inner_hi = sealed("hi");
  const auto twice = [](const std::string& text) { return sealed(sealed(text)); };
  ScriptedProxy& proxy = serve({.turns = {{"hi", "hi"},
                                          {sealed(greeting), sealed(octets({5, 0}))},
                                          {sealed(to_second), sealed(granted)},
                                          {inner_hi, inner_hi},
                                          {twice(login_greeting), twice(octets({5, 2}))},
                                          {twice(login), twice(octets({1, 0}))},
                                          {twice(request), twice(granted + "SSH-2.0")}}});
  Customer customer(rig_, hops_of({"socks5h+tls://127.0.0.1", "socks5h+tls://alice:secret@two.example"}), to_literal);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(customer.read_stream(), "SSH-2.0");
  EXPECT_EQ(proxy.heard(), "hi" + sealed(greeting) + sealed(to_second) + inner_hi + twice(login_greeting) +
                               twice(login) + twice(request));
}

TEST_F(ChainTest, TheHopThatFailsIsNamed) {
  const auto blamed = [this](Script script, std::initializer_list<std::string_view> urls) {
    serve(std::move(script));
    Customer customer(rig_, hops_of(urls), to_literal);
    EXPECT_NE(customer.run(), Obstacle::none);
    const Trouble trouble = customer.connection().trouble();
    TearDown();
    return std::pair(blamed_hop(trouble, urls.size()), reason_of(trouble, urls.size()));
  };
  const std::pair second{std::optional<std::size_t>(1), Reason::upstream_failed};
  const Turn meets_first{greeting, octets({5, 0})};
  EXPECT_EQ(blamed({.turns = {meets_first, {to_second, refused}}}, {"socks5h://127.0.0.1", "socks5h://two.example"}),
            second);
  EXPECT_EQ(blamed({.turns = {meets_first, {to_second, granted}, {greeting, octets({5, 0xFF})}}},
                   {"socks5h://127.0.0.1", "socks5h://two.example"}),
            second);
  EXPECT_EQ(blamed({.turns = {meets_first, {to_second, granted}, {"hi", "no"}}},
                   {"socks5h://127.0.0.1", "socks5h+tls://two.example"}),
            second);
  EXPECT_EQ(blamed({.turns = {meets_first}}, {"socks5://127.0.0.1", "socks5h://nowhere.example"}), second);
  EXPECT_EQ(blamed({.turns = {meets_first}}, {"socks5h://127.0.0.1", "socks5h://alice:secret@two.example"}), second)
      << "a password in clear, through networks that nobody knows";
  const std::pair target{std::optional<std::size_t>(), Reason::upstream_refused};
  EXPECT_EQ(blamed({.turns = {meets_first, {to_second, granted}, meets_first, {request, refused}}},
                   {"socks5h://127.0.0.1", "socks5h://two.example"}),
            target);
}

TEST_F(ChainTest, PipelinedAllIsSaidAtOnce) {
  const std::string one_method = octets({5, 1, 2});
  ScriptedProxy& proxy =
      serve({.turns = {{one_method + login + request, octets({5, 2}) + octets({1, 0}) + granted + "SSH-2.0"}}});
  Hop hop = proxy_at("socks5h://alice:secret@127.0.0.1");
  hop.pipelined = true;
  Customer customer(rig_, hop, to_literal);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(proxy.heard(), one_method + login + request);
  EXPECT_EQ(customer.read_stream(), "SSH-2.0");
}

TEST_F(ChainTest, PipelinedAProxyThatAsksForNothingIsNotWhatWasMeant) {
  serve({.turns = {{"", octets({5, 0})}}});
  Hop hop = proxy_at("socks5h://alice:secret@127.0.0.1");
  hop.pipelined = true;
  Customer customer(rig_, hop, to_literal);
  EXPECT_EQ(customer.run(), Obstacle::conversation);
  EXPECT_EQ(customer.connection().trouble().failure.fault, session::ProxyFault::method_not_offered);
}

TEST_F(ChainTest, BindTellsOfBothReplies) {
  const std::string bind = octets({5, 2, 0, 1, 192, 0, 2, 10, 0, 80});
  const std::string peer = octets({5, 0, 0, 1, 192, 0, 2, 10, 0x12, 0x34});
  ScriptedProxy& proxy =
      serve({.turns = {{greeting, octets({5, 0})}, {to_second, granted}, {greeting, octets({5, 0})}, {bind, granted}}});
  Customer customer(rig_, hops_of({"socks5h://127.0.0.1", "socks5h://two.example"}),
                    {.command = wire::Command::bind, .target = target_of("192.0.2.10")});
  customer.start();
  EXPECT_TRUE(rig_.engine.run_until_idle());
  EXPECT_EQ(customer.completions(), 1);
  EXPECT_EQ(customer.connection().bound().target()->to_string(), "198.51.100.7:40000");
  customer.connection().await_peer(std::chrono::seconds(30));
  (void)rig_.engine.run_for(std::chrono::seconds(1));
  EXPECT_EQ(customer.completions(), 1);
  proxy.say(peer + "220 ready");
  EXPECT_TRUE(rig_.engine.run_until_idle());
  EXPECT_EQ(customer.completions(), 2);
  EXPECT_EQ(customer.connection().trouble().obstacle, Obstacle::none);
  EXPECT_EQ(customer.connection().bound().target()->to_string(), "192.0.2.10:4660");
  EXPECT_EQ(customer.read_stream(), "220 ready");
}

TEST_F(ChainTest, BindWhosePeerNeverComesEnds) {
  const std::string bind = octets({5, 2, 0, 1, 192, 0, 2, 10, 0, 80});
  serve({.turns = {{greeting, octets({5, 0})}, {bind, granted}}});
  Customer customer(rig_, proxy_at("socks5h://127.0.0.1"),
                    {.command = wire::Command::bind, .target = target_of("192.0.2.10")});
  customer.start();
  EXPECT_TRUE(rig_.engine.run_until_idle());
  customer.connection().await_peer(std::chrono::seconds(30));
  EXPECT_TRUE(rig_.engine.run_until_idle());
  EXPECT_EQ(customer.completions(), 2);
  EXPECT_EQ(customer.connection().trouble().failure.fault, session::ProxyFault::timed_out);
}

TEST_F(ChainTest, AHeaderNamesTheClientBeforeAnythingElse) {
  const std::string plain_header = std::string("\r\n\r\n\0\r\nQUIT\n", 12);
  const std::string address =
      octets({0x21, 0x11, 0, 12 + 3 + 16 + 3 + 5, 10, 0, 0, 7, 127, 0, 0, 1, 0x30, 0x39, 4, 56});
  const std::string id = octets({5, 0, 16}) + "0123456789abcdef";
  const std::string user = octets({0xE0, 0, 5}) + "alice";
  const std::string header = plain_header + address + id + user;
  ScriptedProxy& proxy = serve(
      {.turns = {
           {header + "hi", "hi"}, {sealed(greeting), sealed(octets({5, 0}))}, {sealed(request), sealed(granted)}}});
  Hop hop = proxy_at("socks5h+tls://127.0.0.1");
  hop.announces = true;
  Ask ask = to_literal;
  ask.client = Endpoint{Address::v4(10, 0, 0, 7), 12345};
  ask.tlvs = {.authority = {}, .unique_id = "0123456789abcdef", .user = "alice"};
  Customer customer(rig_, hop, ask);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(proxy.heard(), header + "hi" + sealed(greeting) + sealed(request));
}

// The stream to the second leads through the first, which takes what it likes at a time.
TEST_F(ChainTest, AHeaderMayLeaveInPieces) {
  for (const char* const scheme : {"socks5h", "socks5h+tls", "proxy-protocol"}) {
    SCOPED_TRACE(scheme);
    ClientRig rig;
    rig.engine.faults().short_write = 1;
    const std::string plain_header = std::string("\r\n\r\n\0\r\nQUIT\n", 12);
    const std::string named = plain_header + octets({0x21, 0x11, 0, 20, 10, 0, 0, 7, 127, 0, 0, 1, 0x30, 0x39, 4, 56}) +
                              octets({5, 0, 5}) + "12345";
    const bool service = scheme == std::string_view("proxy-protocol");
    const bool tls = scheme == std::string_view("socks5h+tls");
    const auto said = [tls](const std::string& plain) { return tls ? sealed(plain) : plain; };
    const Script script = service ? Script{.turns = {{named, "welcome"}}}
                                  : Script{.turns = {{named + (tls ? "hi" : ""), tls ? "hi" : ""},
                                                     {said(greeting), said(octets({5, 0}))},
                                                     {said(request), said(granted)}}};
    ScriptedProxy proxy(rig.engine, {Address::v4(127, 0, 0, 1), 1080}, script);
    Hop hop = proxy_at(std::string(scheme) + "://127.0.0.1:1080");
    hop.announces = true;
    Ask ask = service ? Ask{.target = target_of("127.0.0.1", 1080)} : to_literal;
    ask.client = Endpoint{Address::v4(10, 0, 0, 7), 12345};
    ask.tlvs = {.authority = {}, .unique_id = "12345", .user = {}};
    Customer customer(rig, hop, ask);
    EXPECT_EQ(customer.run(), Obstacle::none);
    EXPECT_TRUE(rig.engine.run_until_idle());
    EXPECT_EQ(proxy.heard().substr(0, named.size()), named);
    proxy.close_all();
    (void)rig.engine.run_until_idle();
  }
}

// Its relay takes datagrams from whoever the header names; they come from us.
TEST_F(ChainTest, AnAssociationIsAnnouncedAsOurOwn) {
  const std::string header = std::string("\r\n\r\n\0\r\nQUIT\n", 12) + octets({0x20, 0, 0, 0});
  const std::string associate = octets({5, 3, 0, 1, 0, 0, 0, 0, 0, 0});
  ScriptedProxy& proxy = serve({.turns = {{header, ""}, {greeting, octets({5, 0})}, {associate, granted}}});
  Hop hop = proxy_at("socks5h://127.0.0.1:1080");
  hop.announces = true;
  Ask ask{.command = wire::Command::udp_associate, .target = Target{}};
  ask.client = Endpoint{Address::v4(10, 0, 0, 7), 12345};
  Customer customer(rig_, hop, ask);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_EQ(proxy.heard(), header + greeting + associate);
}

TEST_F(ChainTest, AServiceInThePathIsToldTheTargetAndNothingElse) {
  const std::string plain_header = std::string("\r\n\r\n\0\r\nQUIT\n", 12);
  const std::string header = plain_header + octets({0x21, 0x11, 0, 12, 10, 0, 0, 7, 192, 0, 2, 10, 0x30, 0x39, 0, 80});
  ScriptedProxy& proxy = serve({.turns = {{header, "welcome"}}});
  Ask ask = to_literal;
  ask.client = Endpoint{Address::v4(10, 0, 0, 7), 12345};
  Customer customer(rig_, proxy_at("proxy-protocol://127.0.0.1:1080"), ask);
  EXPECT_EQ(customer.run(), Obstacle::none);
  EXPECT_TRUE(rig_.engine.run_until_idle());
  EXPECT_EQ(proxy.heard(), header);
  EXPECT_EQ(customer.read_stream(), "welcome");
}

TEST_F(ChainTest, AServiceInThePathKnowsNoOtherCommand) {
  serve({});
  Customer customer(rig_, proxy_at("proxy-protocol://127.0.0.1:1080"),
                    {.command = wire::Command::bind, .target = target_of("192.0.2.10")});
  EXPECT_EQ(customer.run(), Obstacle::conversation);
  EXPECT_EQ(reason_of(customer.connection().trouble(), 1), Reason::upstream_command);
}

TEST_F(ChainTest, SplitsAndShortCallsChangeNothing) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    ClientRig rig(seed);
    rig.engine.faults().short_read = 0.5;
    rig.engine.faults().short_write = 0.5;
    rig.engine.faults().split = 0.5;
    rig.engine.faults().spurious_ready = 0.3;
    rig.engine.faults().late_completion = 0.3;
    const bool tls = seed % 2 == 0;
    const std::string whole =
        tls ? "hi" + sealed(login_greeting) + sealed(login) + sealed(request) : login_greeting + login + request;
    ScriptedProxy proxy(rig.engine, {Address::v4(127, 0, 0, 1), 1080}, tls ? inside_tls() : logging_in());
    Customer customer(rig, proxy_at(tls ? "socks5h+tls://alice:secret@127.0.0.1" : "socks5h://alice:secret@127.0.0.1"),
                      to_literal);
    EXPECT_EQ(customer.run(), Obstacle::none) << seed;
    EXPECT_EQ(proxy.heard(), whole) << seed;
    proxy.close_all();
    (void)rig.engine.run_until_idle();
  }
}

TEST_F(ChainTest, CancellingAtAnyTimeCompletesOnce) {
  rig_.add_name("proxy.example", {Address::v4(127, 0, 0, 1)});
  rig_.add_name("example.com", {Address::v4(192, 0, 2, 10)});
  for (int microseconds = 0; microseconds < 1'000; microseconds += 25) {
    serve(plain());
    Customer customer(rig_, proxy_at("socks5://proxy.example"), to_name);
    customer.start();
    (void)rig_.engine.run_for(std::chrono::microseconds(microseconds));
    customer.connection().cancel();
    EXPECT_TRUE(rig_.engine.run_until_idle());
    EXPECT_EQ(customer.completions(), 1) << microseconds;
    TearDown();
  }
}

// Habit 16: fail the i-th operation, for every i and error.
TEST(ChainFaults, EveryFailingCallEndsInOneCompletionAndNoLeak) {
  const auto run = [](std::string_view scheme, std::uint64_t fail_at, int error) {
    ClientRig rig;
    rig.add_name("proxy.example", {Address::v4(127, 0, 0, 1)});
    rig.add_name("example.com", {Address::v4(192, 0, 2, 10)});
    ScriptedProxy proxy(rig.engine, {Address::v4(127, 0, 0, 1), 1080},
                        scheme == "socks5" ? logging_in() : inside_tls());
    rig.engine.fail_nth(fail_at, sys::make_error(error));
    std::uint64_t calls = 0;
    {
      Customer customer(rig, proxy_at(std::string(scheme) + "://alice:secret@proxy.example"), to_name);
      const Obstacle obstacle = customer.run();
      calls = rig.engine.calls();
      if (fail_at == 0) {
        EXPECT_EQ(obstacle, Obstacle::none);
      }
      if (obstacle != Obstacle::none) {
        EXPECT_FALSE(explain(customer.connection().trouble()).why.empty());
      }
    }
    proxy.close_all();
    (void)rig.engine.run_until_idle();
    return calls;
  };
  for (const std::string_view scheme : {"socks5", "socks5+tls"}) {
    SCOPED_TRACE(scheme);
    const auto through = [&](std::uint64_t fail_at, int error) { return run(scheme, fail_at, error); };
    EXPECT_GT(engine::sweep_calls(through,
                                  {EAGAIN, ECONNRESET, EPIPE, ENOBUFS, ENOMEM, EMFILE, EIO, ECONNREFUSED, ETIMEDOUT}),
              6U);
  }
}

}  // namespace
}  // namespace stile::route
