#include "server/trace_run.h"

#include "server/probe_rig_for_tests.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using engine::SimBehaviour;
using Lines = std::vector<std::string>;

const std::string first = "traceroute to target.example (192.0.2.10), 30 hops max, 60 byte packets";

TEST(TraceRun, AHopALineUntilTheTargetAnswers) {
  ProbeRig rig;
  rig.name(ProbeRig::near, "gw.example");
  ASSERT_TRUE(rig.trace(rig.request()));
  (void)rig.engine.run_until_idle();
  EXPECT_EQ(rig.lines, (Lines{first, " 1  gw.example (198.51.100.1)  0.100 ms  0.100 ms  0.100 ms",
                              " 2  198.51.100.2 (198.51.100.2)  0.100 ms  0.100 ms  0.100 ms",
                              " 3  192.0.2.10 (192.0.2.10)  0.100 ms  0.100 ms  0.100 ms", "trace complete: reached"}));
  EXPECT_EQ(rig.completions, 1);
  EXPECT_EQ(rig.run->sent(), 9u);
}

TEST(TraceRun, WithoutNamesNobodyIsAsked) {
  ProbeRig rig;
  rig.name(ProbeRig::near, "gw.example");
  ProbeRequest request = rig.request();
  request.show_names = false;
  request.show_codes = true;
  ASSERT_TRUE(rig.trace(request));
  (void)rig.engine.run_until_idle();
  EXPECT_EQ(rig.table.questions(), 0u);
  EXPECT_EQ(rig.lines.at(1), " 1  198.51.100.1 (198.51.100.1)  0.100 ms [11/0]  0.100 ms [11/0]  0.100 ms [11/0]");
  EXPECT_EQ(rig.lines.at(3), " 3  192.0.2.10 (192.0.2.10)  0.100 ms [0/0]  0.100 ms [0/0]  0.100 ms [0/0]");
}

TEST(TraceRun, EachHopOnceWhereThatIsAskedFor) {
  ProbeRig rig;
  ProbeRequest request = rig.request();
  request.show_names = false;
  request.each_hop_once = true;
  rig.engine.set_route(ProbeRig::near, SimBehaviour::silent());
  ASSERT_TRUE(rig.trace(request));
  (void)rig.engine.run_until_idle();
  EXPECT_EQ(rig.lines, (Lines{first, " 1  *", " 2  198.51.100.2 (198.51.100.2)  0.100 ms",
                              " 3  192.0.2.10 (192.0.2.10)  0.100 ms", "trace complete: reached"}));
  EXPECT_EQ(rig.run->sent(), 3u);
}

TEST(TraceRun, ANameThatDoesNotComeIsNotWaitedForLong) {
  ProbeRig rig;
  rig.name(ProbeRig::near, "gw.example", std::nullopt);
  rig.name(ProbeRig::middle, "late.example", 2500ms);
  ASSERT_TRUE(rig.trace(rig.request()));
  ASSERT_TRUE(rig.engine.run_for(3200ms));
  EXPECT_EQ(rig.lines, (Lines{first, " 1  198.51.100.1 (198.51.100.1)  0.100 ms  0.100 ms  0.100 ms"}));
  ASSERT_TRUE(rig.engine.run_for(3200ms));
  EXPECT_EQ(rig.lines.back(), " 2  late.example (198.51.100.2)  0.100 ms  0.100 ms  0.100 ms")
      << "it came while the hop's last answer was awaited";
}

TEST(TraceRun, SilentAndHiddenRoutersAreLost) {
  ProbeRig rig;
  rig.engine.set_route(ProbeRig::near, SimBehaviour::silent());
  rig.hidden = {ProbeRig::middle};
  ASSERT_TRUE(rig.trace(rig.request()));
  (void)rig.engine.run_until_idle();
  ASSERT_EQ(rig.lines.size(), 5u);
  EXPECT_EQ(rig.lines.at(1), " 1  *  *  *");
  EXPECT_EQ(rig.lines.at(2), " 2  *  *  *");
  EXPECT_EQ(rig.lines.back(), "trace complete: reached");
}

TEST(TraceRun, AnUnreachableEndsIt) {
  ProbeRig rig;
  rig.engine.set_route(ProbeRig::target, SimBehaviour::host_unreachable(Family::ipv4));
  ASSERT_TRUE(rig.trace(rig.request()));
  (void)rig.engine.run_until_idle();
  ASSERT_EQ(rig.lines.size(), 5u);
  EXPECT_EQ(rig.lines.at(3), " 3  198.51.100.2 (198.51.100.2)  0.100 ms !H  0.100 ms !H  0.100 ms !H");
  EXPECT_EQ(rig.lines.back(), "trace complete: unreachable");
}

TEST(TraceRun, SilenceGoesOnToTheLastHop) {
  ProbeRig rig;
  rig.engine.set_route(ProbeRig::target, SimBehaviour::silent());
  ASSERT_TRUE(rig.trace(rig.request()));
  (void)rig.engine.run_until_idle();
  EXPECT_EQ(rig.lines.size(), 1u + limits::trace_hops_max + 1u);
  EXPECT_EQ(rig.lines.at(limits::trace_hops_max), "30  *  *  *");
  EXPECT_EQ(rig.lines.back(), "trace complete: hop limit");
  EXPECT_EQ(rig.run->sent(), 90u);
}

TEST(TraceRun, StoppedItSaysSo) {
  ProbeRig rig;
  ASSERT_TRUE(rig.trace(rig.request()));
  ASSERT_TRUE(rig.engine.run_for(6500ms));  // the target answered the third hop's first probe
  rig.run->stop();
  (void)rig.engine.run_until_idle();
  EXPECT_EQ(rig.lines.back(), "trace complete: ended");
  EXPECT_EQ(rig.lines.size(), 4u);
  EXPECT_EQ(rig.completions, 1);
}

TEST(TraceRun, ForgedAnswersCountForNothing) {
  engine::SimFaults faults;
  faults.icmp_forgery = 1;
  faults.udp_duplicate = 1;
  ProbeRig rig(3, faults);
  ASSERT_TRUE(rig.trace(rig.request()));
  (void)rig.engine.run_until_idle();
  ASSERT_EQ(rig.lines.size(), 5u);
  EXPECT_TRUE(rig.lines.at(1).starts_with(" 1  198.51.100.1 "));
  EXPECT_EQ(rig.lines.back(), "trace complete: reached");
}

TEST(TraceRun, NoFailingCallIsTooMuch) {
  const auto run = [](std::uint64_t fail_at, ErrorKind kind) {
    ProbeRig rig;
    rig.name(ProbeRig::near, "gw.example", 1500ms);
    rig.engine.fail_nth(fail_at, {kind, 0});
    const bool opened = rig.trace(rig.request()).has_value();
    (void)rig.engine.run_until_idle();
    EXPECT_EQ(rig.completions, opened ? 1 : 0) << fail_at;
    if (opened) {
      EXPECT_TRUE(rig.lines.back().starts_with("trace complete: ")) << fail_at;
    }
    return rig.engine.calls();
  };
  const std::uint64_t calls = run(0, ErrorKind::other);
  ASSERT_GT(calls, 10u);
  for (std::uint64_t i = 1; i <= calls; ++i) {
    for (const ErrorKind kind : {ErrorKind::no_memory, ErrorKind::not_permitted, ErrorKind::would_block,
                                 ErrorKind::host_unreachable, ErrorKind::other}) {
      run(i, kind);
    }
  }
}

}  // namespace
}  // namespace stile::server
