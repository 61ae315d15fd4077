#include "sys/foreground_command.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

namespace stile::sys {
namespace {

const std::vector<std::string> environment{"PATH=/usr/bin:/bin", "STILE_SAID=so"};

ForegroundCommand forked(
    const std::string& script,
    const ForegroundCommand::Preparation& prepare = [] { return std::optional<ForegroundCommand::Fault>(); }) {
  auto command = ForegroundCommand::fork({"sh", "-c", script}, environment, prepare);
  EXPECT_TRUE(command);
  return std::move(*command);
}

Ending end_of(ForegroundCommand& command) {
  pollfd watched{.fd = command.descriptor(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&watched, 1, -1), 1);
  const auto ending = command.ended();
  EXPECT_TRUE(ending);
  EXPECT_FALSE(command.ended());
  return ending.value_or(Ending{});
}

TEST(ForegroundCommand, EndsAsTheProgramDoes) {
  ForegroundCommand command = forked("exit 7");
  EXPECT_FALSE(command.ended());
  EXPECT_FALSE(command.start());
  EXPECT_EQ(end_of(command).code, 7);
  ForegroundCommand killed = forked("kill -USR1 $$");
  EXPECT_FALSE(killed.start());
  EXPECT_EQ(end_of(killed).signal, SIGUSR1);
}

TEST(ForegroundCommand, RunsInTheSameGroupWithItsOwnEnvironment) {
  const std::string group = std::to_string(::getpgrp());
  ForegroundCommand command =
      forked("test \"$STILE_SAID\" = so && test -z \"$HOME\" && test $(ps -o pgid= -p $$) = " + group);
  EXPECT_FALSE(command.start());
  EXPECT_EQ(end_of(command).code, 0);
}

TEST(ForegroundCommand, IsPreparedInItsOwnProcess) {
  bool here = false;
  ForegroundCommand command = forked("test $(pwd) = /", [&] {
    here = true;
    EXPECT_EQ(::chdir("/"), 0);
    return std::optional<ForegroundCommand::Fault>();
  });
  EXPECT_FALSE(command.start());
  EXPECT_EQ(end_of(command).code, 0);
  EXPECT_FALSE(here);
}

TEST(ForegroundCommand, TellsWhatFailed) {
  ForegroundCommand unprepared =
      forked("exit 0", [] { return std::optional(ForegroundCommand::Fault{3, {ErrorKind::not_permitted, EPERM}}); });
  const auto refused = unprepared.start();
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->preparing);
  EXPECT_EQ(refused->step, 3);
  EXPECT_EQ(refused->error.kind, ErrorKind::not_permitted);
  EXPECT_FALSE(unprepared.ended());
  const auto none = [] { return std::optional<ForegroundCommand::Fault>(); };
  auto missing = ForegroundCommand::fork({"there-is-no-such-command"}, environment, none);
  ASSERT_TRUE(missing);
  const auto not_found = missing->start();
  ASSERT_TRUE(not_found);
  EXPECT_FALSE(not_found->preparing);
  EXPECT_EQ(not_found->error.kind, ErrorKind::not_found);
}

TEST(ForegroundCommand, GetsSignalsWhileItRuns) {
  ForegroundCommand command = forked("trap 'exit 5' TERM; kill -STOP $$; exit 6");
  EXPECT_FALSE(command.start());
  // Stopped or not yet: the signal is there when it goes on.
  command.signal(SIGTERM);
  command.signal(SIGCONT);
  pollfd watched{.fd = command.descriptor(), .events = POLLIN, .revents = 0};
  while (::poll(&watched, 1, 10) == 0) command.signal(SIGCONT);
  const auto ending = command.ended();
  ASSERT_TRUE(ending);
  EXPECT_TRUE(ending->code == 5 || ending->signal == SIGTERM);
  command.signal(SIGTERM);
}

TEST(ForegroundCommand, OneThatIsNotStartedEnds) {
  int watch = -1;
  {
    ForegroundCommand command = forked("exit 0");
    watch = ::dup(command.descriptor());
  }
  pollfd watched{.fd = watch, .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&watched, 1, -1), 1);
  ::close(watch);
}

}  // namespace
}  // namespace stile::sys
