#include "server/ping_run.h"

#include <cerrno>

#include "server/probe_rig_for_tests.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using engine::SimBehaviour;
using Lines = std::vector<std::string>;

TEST(PingRun, OneProbeASecondUntilItIsStopped) {
  ProbeRig rig;
  ASSERT_TRUE(rig.ping(rig.request()));
  ASSERT_TRUE(rig.engine.run_for(2500ms));
  rig.run->stop();
  (void)rig.engine.run_until_idle();
  EXPECT_EQ(rig.lines, (Lines{"PING target.example (192.0.2.10) 56 data bytes",
                              "64 bytes from 192.0.2.10: icmp_seq=1 ttl=62 time=0.100 ms",
                              "64 bytes from 192.0.2.10: icmp_seq=2 ttl=62 time=0.100 ms",
                              "64 bytes from 192.0.2.10: icmp_seq=3 ttl=62 time=0.100 ms",
                              "--- target.example ping statistics ---", "3 sent, 3 received, 0.0% loss, time 2500 ms",
                              "rtt min/avg/max/mdev = 0.100/0.100/0.100/0.000 ms"}));
  EXPECT_EQ(rig.completions, 1);
  EXPECT_EQ(rig.run->sent(), 3u);
  EXPECT_EQ(rig.run->answered(), 3u);
}

TEST(PingRun, EndsByItselfAfterAllItsProbes) {
  ProbeRig rig;
  ASSERT_TRUE(rig.ping(rig.request()));
  (void)rig.engine.run_until_idle();
  EXPECT_EQ(rig.completions, 1);
  EXPECT_EQ(rig.run->sent(), limits::ping_probes_max);
  EXPECT_EQ(rig.lines.size(), 1 + limits::ping_probes_max + 3);
  EXPECT_EQ(rig.lines.at(rig.lines.size() - 2), "3600 sent, 3600 received, 0.0% loss, time 3599000 ms");
}

TEST(PingRun, SilenceIsSaidWhenItsTimeIsOver) {
  ProbeRig rig;
  rig.engine.set_route(ProbeRig::target, SimBehaviour::silent());
  ASSERT_TRUE(rig.ping(rig.request()));
  ASSERT_TRUE(rig.engine.run_for(5500ms));
  rig.run->stop();
  (void)rig.engine.run_until_idle();
  EXPECT_EQ(rig.lines,
            (Lines{"PING target.example (192.0.2.10) 56 data bytes", "icmp_seq=1 timeout", "icmp_seq=2 timeout",
                   "--- target.example ping statistics ---", "6 sent, 0 received, 100.0% loss, time 5500 ms"}))
      << "no times where nothing was received";
}

TEST(PingRun, ErrorsAreToldWithTheirSender) {
  struct Row {
    SimBehaviour behaviour;
    std::string words;
  };
  const Error unreachable{ErrorKind::host_unreachable, EHOSTUNREACH};
  for (const Row& row : {Row{SimBehaviour::host_unreachable(Family::ipv4), "host unreachable [3/1]"},
                         Row{SimBehaviour::net_unreachable(Family::ipv4), "net unreachable [3/0]"},
                         Row{SimBehaviour::ttl_exceeded(Family::ipv4), "ttl expired [11/0]"},
                         Row{SimBehaviour::icmp_error(unreachable, {.family = Family::ipv4, .type = 3, .code = 13}),
                             "admin prohibited [3/13]"}}) {
    ProbeRig rig;
    rig.engine.set_route(ProbeRig::target, row.behaviour);
    ProbeRequest request = rig.request();
    request.show_codes = true;
    ASSERT_TRUE(rig.ping(request));
    ASSERT_TRUE(rig.engine.run_for(500ms));
    EXPECT_EQ(rig.lines.back(), "icmp_seq=1 from 198.51.100.2: " + row.words);
  }
}

TEST(PingRun, ARefusalOfThisHostIsItsOwn) {
  ProbeRig rig;
  rig.engine.set_route(ProbeRig::target, SimBehaviour::local_error({ErrorKind::not_permitted, EPERM}));
  ProbeRequest request = rig.request();
  request.source_shown = Address::v4(203, 0, 113, 99);  // behind NAT
  ASSERT_TRUE(rig.ping(request));
  ASSERT_TRUE(rig.engine.run_for(500ms));
  EXPECT_EQ(rig.lines.back(), "icmp_seq=1 from 203.0.113.99: admin prohibited");
}

// Threat TS6: no address that the client may not reach itself.
TEST(PingRun, ASenderThatTheClientMayNotSeeIsSilent) {
  ProbeRig rig;
  rig.hidden = {ProbeRig::middle};
  rig.engine.set_route(ProbeRig::target, SimBehaviour::host_unreachable(Family::ipv4));
  ASSERT_TRUE(rig.ping(rig.request()));
  ASSERT_TRUE(rig.engine.run_for(4500ms));
  EXPECT_EQ(rig.lines.back(), "icmp_seq=1 timeout");
}

// Threat TS7.
TEST(PingRun, ForgedAndDoubledAnswersCountForNothing) {
  engine::SimFaults faults;
  faults.icmp_forgery = 1;
  faults.udp_duplicate = 1;
  ProbeRig rig(1, faults);
  ASSERT_TRUE(rig.ping(rig.request()));
  ASSERT_TRUE(rig.engine.run_for(9500ms));
  EXPECT_EQ(rig.lines.size(), 1u + 10u);
  EXPECT_EQ(rig.run->answered(), 10u);
  rig.engine.set_route(ProbeRig::target, SimBehaviour::silent());
  const std::size_t before = rig.lines.size();
  ASSERT_TRUE(rig.engine.run_for(3s));
  EXPECT_EQ(rig.lines.size(), before);
}

TEST(PingRun, TwoRunsOfOneClientShareItsPace) {
  ProbeRig rig;
  ProbeRequest request = rig.request();
  request.client = "user alice";
  ASSERT_TRUE(rig.ping(request));
  PingRun other(rig.engine, rig.gate, rig, request);
  struct Nobody {
    void on_probed(engine::Status) {}
  } nobody;
  other.bind<&Nobody::on_probed>(&nobody);
  ASSERT_TRUE(other.open());
  other.begin();
  ASSERT_TRUE(rig.engine.run_for(9500ms));
  EXPECT_EQ(rig.run->sent() + other.sent(), 10u) << "a second probe within the second is not sent";
  other.stop();
  rig.run->stop();
  (void)rig.engine.run_until_idle();
}

TEST(PingRun, AClientThatDoesNotReadStopsItsProbes) {
  ProbeRig rig;
  ASSERT_TRUE(rig.ping(rig.request()));
  ASSERT_TRUE(rig.engine.run_for(1500ms));
  rig.reads = false;
  ASSERT_TRUE(rig.engine.run_for(100s));
  EXPECT_EQ(rig.run->sent(), 2u);
  rig.reads = true;
  ASSERT_TRUE(rig.engine.run_for(1s));
  EXPECT_EQ(rig.run->sent(), 3u);
}

TEST(PingRun, WithoutASocketItDoesNotBegin) {
  ProbeRig rig;
  rig.engine.set_icmp_refused(true);
  EXPECT_EQ(rig.ping(rig.request()).error().kind, ErrorKind::not_permitted);
  rig.engine.set_icmp_refused(false);
  rig.engine.set_descriptor_limit(0);
  EXPECT_EQ(rig.ping(rig.request()).error().kind, ErrorKind::no_descriptors);
  rig.engine.set_descriptor_limit(10);
  for (std::size_t i = 0; i < limits::probe_runs_max; ++i) ASSERT_TRUE(rig.gate->enter()) << "failures left it";
  EXPECT_EQ(rig.ping(rig.request()).error().kind, ErrorKind::no_descriptors) << "as many runs as may be";
  for (std::size_t i = 0; i < limits::probe_runs_max; ++i) rig.gate->leave();
  EXPECT_TRUE(rig.ping(rig.request()));
}

// Habit 16: whichever call fails, the run ends once, says only whole lines, and leaves nothing open (the rig looks).
TEST(PingRun, NoFailingCallIsTooMuch) {
  const auto run = [](std::uint64_t fail_at, ErrorKind kind) {
    ProbeRig rig;
    rig.engine.fail_nth(fail_at, {kind, 0});
    const bool opened = rig.ping(rig.request()).has_value();
    (void)rig.engine.run_for(3500ms);
    rig.run->stop();
    (void)rig.engine.run_until_idle();
    EXPECT_EQ(rig.completions, opened ? 1 : 0) << fail_at;
    if (opened) {
      EXPECT_TRUE(rig.lines.front().starts_with("PING ")) << fail_at;
    }
    return rig.engine.calls();
  };
  const std::uint64_t calls = run(0, ErrorKind::other);
  ASSERT_GT(calls, 5u);
  for (std::uint64_t i = 1; i <= calls; ++i) {
    for (const ErrorKind kind : {ErrorKind::no_memory, ErrorKind::not_permitted, ErrorKind::would_block,
                                 ErrorKind::host_unreachable, ErrorKind::other}) {
      run(i, kind);
    }
  }
}

}  // namespace
}  // namespace stile::server
