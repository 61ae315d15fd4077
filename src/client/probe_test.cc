// PING and TRACEROUTE as a client lives through them: what is shown, when the end is asked for, how a proxy can fail.
#include "client/probe.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "engine/sim/call_sweep_for_tests.h"
#include "route/proxy_for_tests.h"
#include "sys/errno_table.h"

namespace stile::client {
namespace {

using route::ClientRig;
using route::octets;
using route::proxy_at;
using route::Script;
using route::ScriptedProxy;
using route::sealed;

using engine::Status;

const std::string greeting = octets({5, 1, 0});
const std::string ping_request = octets({5, 0x80, 0, 1, 192, 0, 2, 10, 0, 0});
const std::string granted = octets({5, 0, 0, 1, 198, 51, 100, 7, 0, 0});

const std::string ping_start = "PING 192.0.2.10 (192.0.2.10) 56 data bytes\r\n";
const std::string first_answer = "64 bytes from 192.0.2.10: icmp_seq=1 ttl=61 time=0.123 ms\r\n";
const std::string second_lost = "icmp_seq=2 timeout\r\n";
const std::string statistics =
    "--- 192.0.2.10 ping statistics ---\r\n2 sent, 1 received, 50.0% loss, time 1001 ms\r\n"
    "rtt min/avg/max/mdev = 0.123/0.123/0.123/0.000 ms\r\n";

/// Writes down what it is told.
class Notebook final : public ProbeShow {
 public:
  bool granted(const Endpoint& proxy, const wire::AddressField& bound) override {
    notes += "granted by " + proxy.to_string() + " from " + bound.target()->to_string() + "\n";
    return writable;
  }
  bool line(const wire::IcmpLine& line) override {
    notes += wire::encode_icmp_line(line);
    return writable;
  }
  bool text(std::string_view line) override {
    notes += "text: " + std::string(line) + "\n";
    return writable;
  }

  std::string notes;
  bool writable = true;
};

class Runner {
 public:
  Runner(ClientRig& rig, const ProbeOptions& options, std::string_view url = "socks5h://127.0.0.1")
      : rig_(rig), proxy_(proxy_at(url)), probe_(rig.engine, rig.resolver, proxy_, options, notebook_) {
    probe_.bind<&Runner::on_ended>(this);
  }

  void start() {
    probe_.start();
    EXPECT_EQ(completions_, 0);
  }
  const ProbeResult& run() {
    start();
    return finish();
  }
  const ProbeResult& finish() {
    EXPECT_TRUE(rig_.engine.run_until_idle());
    EXPECT_EQ(completions_, 1);
    return probe_.result();
  }
  [[nodiscard]] Probe& probe() { return probe_; }
  [[nodiscard]] Notebook& notebook() { return notebook_; }
  [[nodiscard]] int completions() const { return completions_; }

 private:
  void on_ended(Status) { ++completions_; }

  ClientRig& rig_;
  route::Hop proxy_;
  Notebook notebook_;
  Probe probe_;
  int completions_ = 0;
};

ProbeOptions ping(std::uint32_t count = 0) {
  return {.target = Address::v4(192, 0, 2, 10), .count = count};
}

class ProbeTest : public route::ProxyTest {
 protected:
  using ProxyTest::serve;
  /// A proxy that grants and says `lines`.
  ScriptedProxy& serve(const std::string& lines, Script::End end = Script::End::stay) {
    return serve({.turns = {{greeting, octets({5, 0})}, {ping_request, granted + lines}}, .end = end});
  }
};

TEST_F(ProbeTest, ShowsEveryLineAndEndsWithTheStream) {
  serve(ping_start + first_answer + second_lost + statistics, Script::End::fin);
  Runner runner(rig_, ping());
  const ProbeResult& result = runner.run();
  EXPECT_TRUE(result.succeeded);
  EXPECT_EQ(result.trouble.why, "");
  EXPECT_EQ(runner.notebook().notes,
            "granted by 127.0.0.1:1080 from 198.51.100.7:0\n" + ping_start + first_answer + second_lost + statistics);
}

TEST_F(ProbeTest, CountAsksForTheEnd) {
  Script script{.turns = {{greeting, octets({5, 0})},
                          {ping_request, granted + ping_start + first_answer + second_lost},
                          {octets({0}), statistics}},
                .end = Script::End::fin};
  ScriptedProxy& proxy = serve(script);
  Runner runner(rig_, ping(2));
  EXPECT_TRUE(runner.run().succeeded);
  EXPECT_EQ(proxy.heard(), greeting + ping_request + octets({0}));
  EXPECT_NE(runner.notebook().notes.find("50.0% loss"), std::string::npos);
}

// The reply and the first lines come in one message of the transform, which only a part of is asked for at a time.
TEST_F(ProbeTest, InsideTlsTheSameIsShown) {
  ScriptedProxy& proxy =
      serve({.turns = {{"hi", "hi"},
                       {sealed(greeting), sealed(octets({5, 0}))},
                       {sealed(ping_request), sealed(granted + ping_start + first_answer) + sealed(second_lost)},
                       {sealed(octets({0})), sealed(statistics) + sealed("")}}});
  Runner runner(rig_, ping(2), "socks5h+tls://127.0.0.1");
  EXPECT_TRUE(runner.run().succeeded);
  EXPECT_EQ(proxy.heard(), "hi" + sealed(greeting) + sealed(ping_request) + sealed(octets({0})) + sealed(""));
  EXPECT_EQ(runner.notebook().notes,
            "granted by 127.0.0.1:1080 from 198.51.100.7:0\n" + ping_start + first_answer + second_lost + statistics);
}

TEST_F(ProbeTest, InterruptAsksForTheEndOnce) {
  Script script{.turns = {{greeting, octets({5, 0})},
                          {ping_request, granted + ping_start + first_answer},
                          {octets({0}), statistics}},
                .end = Script::End::fin};
  ScriptedProxy& proxy = serve(script);
  Runner runner(rig_, ping());
  runner.start();
  (void)rig_.engine.run_for(std::chrono::seconds(1));
  EXPECT_EQ(runner.completions(), 0);
  runner.probe().interrupt();
  EXPECT_TRUE(runner.finish().succeeded);
  EXPECT_EQ(proxy.heard(), greeting + ping_request + octets({0}));
}

TEST_F(ProbeTest, ASecondInterruptEndsAtOnce) {
  serve(ping_start + first_answer);
  Runner runner(rig_, ping());
  runner.start();
  (void)rig_.engine.run_for(std::chrono::seconds(1));
  runner.probe().interrupt();
  runner.probe().interrupt();
  const Instant before = rig_.engine.now();
  EXPECT_NE(runner.finish().trouble.why, "");
  EXPECT_LT(rig_.engine.now() - before, std::chrono::seconds(1));
}

TEST_F(ProbeTest, InterruptAtAnyTimeCompletesOnce) {
  for (int microseconds = 0; microseconds < 1'000; microseconds += 25) {
    serve(ping_start + first_answer + statistics, Script::End::fin);
    Runner runner(rig_, ping());
    runner.start();
    (void)rig_.engine.run_for(std::chrono::microseconds(microseconds));
    runner.probe().interrupt();
    runner.probe().interrupt();
    (void)runner.finish();
    TearDown();
  }
}

TEST_F(ProbeTest, TraceSucceedsWhenTheTargetIsReached) {
  const std::string request = octets({5, 0x81, 1, 1, 192, 0, 2, 10, 0, 0});
  const std::string hops =
      "traceroute to 192.0.2.10 (192.0.2.10), 30 hops max, 60 byte packets\r\n"
      " 1  198.51.100.1 (198.51.100.1)  0.100 ms  0.110 ms  *\r\n";
  for (const std::string outcome : {"reached", "hop limit", "unreachable", "ended"}) {
    serve({.turns = {{greeting, octets({5, 0})}, {request, granted + hops + "trace complete: " + outcome + "\r\n"}},
           .end = Script::End::fin});
    ProbeOptions options = ping();
    options.trace = true;
    options.flags = probe_no_names;
    Runner runner(rig_, options);
    const ProbeResult& result = runner.run();
    EXPECT_EQ(result.succeeded, outcome == "reached") << outcome;
    EXPECT_EQ(result.trouble.why, "");
    TearDown();
  }
}

TEST_F(ProbeTest, NothingAnsweredIsNoSuccess) {
  serve(ping_start + second_lost +
            "--- 192.0.2.10 ping statistics ---\r\n2 sent, 0 received, 100.0% loss, time 1001 ms\r\n",
        Script::End::fin);
  Runner runner(rig_, ping());
  const ProbeResult& result = runner.run();
  EXPECT_FALSE(result.succeeded);
  EXPECT_EQ(result.trouble.why, "");
}

// ── hostile and broken proxies ──────────────────────────────────────────────────────────────────────────────────────

TEST_F(ProbeTest, ForeignLinesAreShownEscaped) {
  serve("\x1b]0;owned\x07 \x1b[2J\n" + std::string("caf\xc3\xa9\r\n") + std::string("a\0b\r\n", 5) + "\n" + ping_start +
            statistics,
        Script::End::fin);
  Runner runner(rig_, ping());
  (void)runner.run();
  const std::string& notes = runner.notebook().notes;
  EXPECT_NE(notes.find("text: \\x1b]0;owned\\x07 \\x1b[2J\ntext: caf\\xc3\\xa9\ntext: a\\x00b\ntext: \n"),
            std::string::npos)
      << notes;
  for (const char c : notes) EXPECT_TRUE((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r');
}

TEST_F(ProbeTest, SplitsChangeNothing) {
  const std::string lines = ping_start + "\x1b[2J\n" + first_answer + second_lost + statistics;
  std::string whole;
  for (std::uint64_t seed = 0; seed <= 50; ++seed) {
    ClientRig rig(seed + 1);
    if (seed > 0) {
      rig.engine.faults().short_read = 0.5;
      rig.engine.faults().short_write = 0.5;
      rig.engine.faults().split = 0.5;
      rig.engine.faults().spurious_ready = 0.3;
      rig.engine.faults().late_completion = 0.3;
    }
    ScriptedProxy proxy(
        rig.engine, {Address::v4(127, 0, 0, 1), 1080},
        {.turns = {{greeting, octets({5, 0})}, {ping_request, granted + lines}}, .end = Script::End::fin});
    Runner runner(rig, ping());
    EXPECT_EQ(runner.run().trouble.why, "") << seed;
    if (seed == 0) whole = runner.notebook().notes;
    EXPECT_EQ(runner.notebook().notes, whole) << seed;
    proxy.close_all();
    (void)rig.engine.run_until_idle();
  }
}

TEST_F(ProbeTest, AnEndlessLineEndsTheRun) {
  serve(ping_start + std::string(5'000, 'x'));
  Runner runner(rig_, ping());
  const ProbeResult& result = runner.run();
  EXPECT_NE(result.trouble.why.find("1024 octets"), std::string::npos);
  EXPECT_EQ(runner.notebook().notes.find("xx"), std::string::npos);
}

TEST_F(ProbeTest, TheLongestLineIsShown) {
  const std::string longest(limits::icmp_line_octets_max - 1, 'x');
  serve(longest + "\n" + ping_start + statistics, Script::End::fin);
  Runner runner(rig_, ping());
  EXPECT_EQ(runner.run().trouble.why, "");
  EXPECT_NE(runner.notebook().notes.find("text: " + longest + "\n"), std::string::npos);
}

TEST_F(ProbeTest, AStreamThatEndsTooEarlyAtAnyOctetIsTold) {
  const std::string lines = ping_start + first_answer + statistics;
  const std::size_t complete = lines.find("rtt");  // the counts tell how it ended
  for (const Script::End end : {Script::End::fin, Script::End::reset}) {
    for (std::size_t size = 0; size < lines.size(); ++size) {
      serve(lines.substr(0, size), end);
      Runner runner(rig_, ping());
      const ProbeResult& result = runner.run();
      EXPECT_EQ(result.trouble.why.empty(), end == Script::End::fin && size >= complete) << size;
      TearDown();
    }
  }
}

TEST_F(ProbeTest, RefusedIsToldInWords) {
  serve({.turns = {{greeting, octets({5, 0})}, {ping_request, octets({5, 7, 0, 1, 0, 0, 0, 0, 0, 0})}}});
  Runner runner(rig_, ping());
  EXPECT_EQ(runner.run().trouble.why, "this proxy does not know PING");
  EXPECT_EQ(runner.notebook().notes, "");
}

TEST_F(ProbeTest, AProxyThatFallsSilentIsLeft) {
  serve(ping_start);
  Runner runner(rig_, ping());
  const Instant before = rig_.engine.now();
  EXPECT_EQ(runner.run().trouble.why, "the proxy fell silent");
  EXPECT_GE(rig_.engine.now() - before, limits::probe_silence);
}

// A proxy that goes on and on after the end was asked for has its deadline all the same.
TEST_F(ProbeTest, AProxyThatDoesNotEndIsLeft) {
  ScriptedProxy& proxy = serve(ping_start + first_answer);
  Runner runner(rig_, ping(1));
  runner.start();
  for (int second = 0; second < 20 && runner.completions() == 0; ++second) {
    (void)rig_.engine.run_for(std::chrono::seconds(1));
    proxy.say(second_lost);
  }
  EXPECT_EQ(runner.completions(), 1);
  EXPECT_EQ(runner.probe().result().trouble.why, "the proxy did not end when it was asked to");
}

TEST_F(ProbeTest, AnOutputThatCannotBeWrittenEndsTheRun) {
  serve(ping_start + first_answer);
  Runner runner(rig_, ping());
  runner.notebook().writable = false;
  EXPECT_NE(runner.run().trouble.why, "");
}

// Habit 16.
TEST(ProbeFaults, EveryFailingCallEndsInOneCompletionAndNoLeak) {
  const auto run = [](std::uint64_t fail_at, int error) {
    ClientRig rig;
    ScriptedProxy proxy(rig.engine, {Address::v4(127, 0, 0, 1), 1080},
                        {.turns = {{greeting, octets({5, 0})},
                                   {ping_request, granted + ping_start + first_answer + second_lost},
                                   {octets({0}), statistics}},
                         .end = Script::End::fin});
    rig.engine.fail_nth(fail_at, sys::make_error(error));
    std::uint64_t calls = 0;
    {
      Runner runner(rig, ping(2));
      const ProbeResult& result = runner.run();
      calls = rig.engine.calls();
      if (fail_at == 0) {
        EXPECT_TRUE(result.succeeded && result.trouble.why.empty());
      }
    }
    proxy.close_all();
    (void)rig.engine.run_until_idle();
    return calls;
  };
  EXPECT_GT(engine::sweep_calls(run, {EAGAIN, ECONNRESET, EPIPE, ENOBUFS, ENOMEM, EMFILE, EIO}), 8U);
}

}  // namespace
}  // namespace stile::client
