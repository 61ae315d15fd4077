// The helper and its supervisor as real processes, with judges that answer, hang, crash and lie, and with programs of
// the shell.
#include "auth/helper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "auth/pam_login.h"
#include "base/limits.h"
#include "sys/record_socket.h"
#include "sys/wait_any.h"

namespace stile::auth {
namespace {

using namespace std::chrono_literals;
using Octets = std::vector<std::uint8_t>;
using wire::HelperOutcome;

constexpr auto long_enough = 20s;

/// By the password.
PamVerdict judge(const wire::HelperLogin& login) {
  if (login.password == "hang") ::sleep(3600);
  if (login.password == "crash") ::kill(::getpid(), SIGABRT);
  if (login.password == "exit") std::_Exit(3);
  if (login.password != "right") return {HelperOutcome::refused, {}, {}};
  return {HelperOutcome::accepted, std::string(login.user) + "@" + std::string(login.client), {"staff", "ops"}};
}

/// In the place of a mechanism: does what the token says.
int accept_tokens(int socket) {
  Octets room(limits::helper_record_octets_max);
  for (;;) {
    std::array watched{sys::Waited{.descriptor = socket}};
    if (!sys::wait_any(watched, std::nullopt)) return 1;
    const auto received = sys::receive_record(socket, room);
    if (!received && received.error().kind == ErrorKind::would_block) continue;
    if (!received) return 0;
    const ConstBytes record = ConstBytes(room).first(*received);
    const auto token = wire::whole_record(wire::decode_helper_token(record), record);
    if (!token) continue;
    const std::string word(token->token.begin(), token->token.end());
    if (word == "hang") ::sleep(3600);
    if (word == "crash") ::kill(::getpid(), SIGABRT);
    Octets answer(1024);
    ByteWriter writer(answer);
    wire::HelperProgress progress{
        .id = token->id, .outcome = HelperOutcome::refused, .user = {}, .token = {}, .context = {}};
    if (word == "lie") progress.id += 1;
    if (word == "right") {
      progress = {.id = token->id,
                  .outcome = HelperOutcome::accepted,
                  .user = "alice@REALM",
                  .token = {},
                  .context = token->token};
    }
    wire::encode_helper_progress(writer, progress);
    if (!sys::send_record(socket, writer.written())) return 1;
  }
}

class HelperTest : public ::testing::Test {
 protected:
  void start(std::vector<std::string> program = {}) {
    auto started = start_helper({.program = std::move(program), .judge = judge, .accept = accept_tokens});
    ASSERT_TRUE(started);
    helper_ = std::move(*started);
  }

  void ask(std::uint64_t id, std::string_view password, AuthMethod method = AuthMethod::pam,
           Duration within = long_enough) {
    Octets room(4096);
    ByteWriter writer(room);
    const Duration due = sys::monotonic_now() + within;
    wire::encode_helper_login(writer, {.id = id,
                                       .due = static_cast<std::uint64_t>(due.count()),
                                       .method = method,
                                       .service = method == AuthMethod::pam ? "stile" : "",
                                       .user = "alice",
                                       .password = password,
                                       .client = "192.0.2.9",
                                       .listener = "here"});
    EXPECT_TRUE(sys::send_record(helper_.socket.get(), writer.written()));
  }
  void ask_about(std::uint64_t id, std::string_view token, Duration within = long_enough) {
    Octets room(4096);
    ByteWriter writer(room);
    const Duration due = sys::monotonic_now() + within;
    const Octets octets(token.begin(), token.end());
    wire::encode_helper_token(
        writer, {.id = id, .due = static_cast<std::uint64_t>(due.count()), .conversation = id, .token = octets});
    EXPECT_TRUE(sys::send_record(helper_.socket.get(), writer.written()));
  }
  /// "7 accepted alice@192.0.2.9 staff ops", or a notice, or "nothing".
  std::string hear(Duration within = long_enough) {
    std::array watched{sys::Waited{.descriptor = helper_.socket.get()}};
    if (!sys::wait_any(watched, within) || !watched[0].ready) return "nothing";
    Octets room(limits::helper_record_octets_max);
    const auto received = sys::receive_record(helper_.socket.get(), room);
    if (!received) return "the end";
    const ConstBytes record = ConstBytes(room).first(*received);
    if (const auto notice = wire::whole_record(wire::decode_helper_notice(record), record))
      return std::string(notice->text);
    constexpr std::array words{"", "accepted", "refused", "unavailable", "crashed"};
    if (const auto progress = wire::whole_record(wire::decode_helper_progress(record), record)) {
      return std::to_string(progress->id) + " " + words[static_cast<std::size_t>(progress->outcome)] + " " +
             std::string(progress->user);
    }
    const auto verdict = wire::whole_record(wire::decode_helper_verdict(record), record);
    if (!verdict) return "nonsense";
    std::string text = std::to_string(verdict->id) + " " + words[static_cast<std::size_t>(verdict->outcome)];
    if (!verdict->user.empty()) text += " " + std::string(verdict->user);
    for (const std::string_view group : verdict->groups) text += " " + std::string(group);
    return text;
  }

  StartedHelper helper_;
};

TEST_F(HelperTest, TokensAreAcceptedByAProcessOfTheirOwn) {
  start();
  ask_about(1, "right");
  EXPECT_EQ(hear(), "1 accepted alice@REALM");
  ask_about(2, "wrong");
  EXPECT_EQ(hear(), "2 refused ");
  ask_about(3, "lie", 300ms);
  EXPECT_EQ(hear(), "3 unavailable ") << "what is said of another is not believed";
}

TEST_F(HelperTest, ATokenThatHangsOrCrashesItIsAnsweredAndTheNextIsToo) {
  start();
  ask_about(1, "hang", 300ms);
  EXPECT_EQ(hear(), "1 unavailable ");
  ::usleep(200'000);  // it is not begun again at once
  ask_about(2, "crash");
  EXPECT_EQ(hear(), "the process that accepts GSSAPI tokens ended");
  EXPECT_EQ(hear(), "2 crashed ");
  ::usleep(200'000);
  ask_about(3, "right");
  EXPECT_EQ(hear(), "3 accepted alice@REALM");
}

TEST_F(HelperTest, EachLoginIsJudged) {
  start();
  ask(1, "right");
  EXPECT_EQ(hear(), "1 accepted alice@192.0.2.9 staff ops");
  ask(2, "wrong");
  EXPECT_EQ(hear(), "2 refused");
}

TEST_F(HelperTest, OneThatHangsStopsNobodyAndIsEndedWhenItIsDue) {
  start();
  ask(1, "hang", AuthMethod::pam, 300ms);
  ask(2, "right");
  EXPECT_EQ(hear(), "2 accepted alice@192.0.2.9 staff ops");
  EXPECT_EQ(hear(), "1 unavailable");
}

TEST_F(HelperTest, ACrashIsKnownToBeOne) {
  start();
  ask(1, "crash");
  EXPECT_EQ(hear(), "1 crashed");
  ask(2, "exit");
  EXPECT_EQ(hear(), "2 crashed");
  ask(3, "right");
  EXPECT_EQ(hear(), "3 accepted alice@192.0.2.9 staff ops");
}

TEST_F(HelperTest, OnlySoManyAreLookedAtAtOnce) {
  start();
  const std::size_t most = limits::helper_children_max;
  for (std::uint64_t id = 1; id <= most + 1; ++id) ask(id, "hang", AuthMethod::pam, 3s);
  EXPECT_EQ(hear(), std::to_string(most + 1) + " unavailable");
  for (std::size_t i = 0; i < most; ++i) EXPECT_TRUE(hear().ends_with(" unavailable"));
}

TEST_F(HelperTest, WhatIsNoRequestIsIgnored) {
  start();
  for (const std::size_t size : {std::size_t{1}, std::size_t{4}, limits::helper_record_octets_max + 1}) {
    EXPECT_TRUE(sys::send_record(helper_.socket.get(), Octets(size, 1)));
  }
  ask(1, "right", AuthMethod::pam, -1s);  // nobody waits for it any longer
  ask(2, "wrong");
  EXPECT_EQ(hear(), "2 refused");
}

TEST_F(HelperTest, WithoutAProgramNobodyIsJudgedByIt) {
  start();
  ask(1, "right", AuthMethod::command);
  EXPECT_EQ(hear(), "1 unavailable");
}

TEST_F(HelperTest, AllOfThemEndWithTheServer) {
  start({"/bin/sh", "-c", "sleep 3600"});
  ask(1, "hang");
  helper_.socket.reset();
  const auto ending = helper_.supervisor.await(long_enough);
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->code, 0);
  EXPECT_EQ(ending->signal, 0);
}

// ── the operator's program ──────────────────────────────────────────────────────────────────────────────────────────

std::vector<std::string> shell(const std::string& script) {
  return {"/bin/sh", "-c", script};
}

TEST_F(HelperTest, AProgramAnswersLineByLine) {
  start(shell(R"(while read -r line; do
    id=${line#*:}; id=${id%%,*}
    case "$line" in
      *'"password":"right"'*) echo "{\"id\":$id,\"ok\":true,\"groups\":[\"staff\"]}" ;;
      *'"password":"other"'*) echo "{\"id\":$id,\"ok\":true,\"user\":\"bob\"}" ;;
      *) echo "{\"id\":$id,\"ok\":false}" ;;
    esac
  done)"));
  ask(1, "right", AuthMethod::command);
  EXPECT_EQ(hear(), "1 accepted alice staff");
  ask(2, "other", AuthMethod::command);
  EXPECT_EQ(hear(), "2 accepted bob");
  ask(3, "ri\"ght", AuthMethod::command);
  EXPECT_EQ(hear(), "3 refused");
  ask(4, "\xFF", AuthMethod::command);
  EXPECT_EQ(hear(), "4 refused") << "JSON cannot carry it";
  ask(5, "right");
  EXPECT_EQ(hear(), "5 accepted alice@192.0.2.9 staff ops") << "by PAM, beside it";
}

TEST_F(HelperTest, ASilentProgramIsUnavailableWhenItIsDue) {
  start(shell("while read -r line; do :; done"));
  ask(1, "right", AuthMethod::command, 200ms);
  EXPECT_EQ(hear(), "1 unavailable");
}

TEST_F(HelperTest, AProgramThatEndsIsToldAndStartedAgain) {
  start(shell("read -r line; exit 4"));
  ask(1, "right", AuthMethod::command);
  std::vector<std::string> heard{hear(), hear()};
  std::ranges::sort(heard);
  EXPECT_EQ(heard[0], "/bin/sh ended (exit code 4) and is started again");
  EXPECT_EQ(heard[1], "1 unavailable");
  // It comes back, however often it ends.
  for (std::uint64_t id = 2; id < 5; ++id) {
    ask(id, "right", AuthMethod::command);
    std::string said;
    while (!(said = hear()).ends_with(" unavailable")) EXPECT_TRUE(said.contains("is started again")) << said;
  }
}

TEST_F(HelperTest, WhatAProgramSaysWrongCostsItselfOnly) {
  start(shell(R"(echo "a word to people" >&2; echo 'no json'; echo '{"id":99,"ok":true}'; read -r line;
                 echo '{"id":1,"ok":true,"user":"a\u0000b"}'; echo '{"id":1,"ok":true}'; read -r line)"));
  std::vector<std::string> heard{hear(), hear()};
  std::ranges::sort(heard);
  EXPECT_EQ(heard[0], "/bin/sh wrote a line that is no answer, which is ignored");
  EXPECT_EQ(heard[1], "/bin/sh: a word to people");
  ask(1, "right", AuthMethod::command);
  EXPECT_EQ(hear(), "/bin/sh wrote a line that is no answer, which is ignored");
  EXPECT_EQ(hear(), "1 accepted alice");
}

TEST_F(HelperTest, ALineWithoutEndEndsIt) {
  start(shell("head -c 100000 /dev/zero | tr '\\0' x; sleep 3600"));
  EXPECT_EQ(hear(), "/bin/sh ended (its line has no end) and is started again");
}

TEST_F(HelperTest, WhatCannotBeExecutedIsTold) {
  start({"/nonexistent/ask"});
  EXPECT_EQ(hear(), "/nonexistent/ask ended (it cannot be executed) and is started again");
}

TEST_F(HelperTest, AHelperThatIsKilledComesBack) {
  start();
  ask(1, "right");
  EXPECT_EQ(hear(), "1 accepted alice@192.0.2.9 staff ops");
  // The supervisor's only child.
  const std::string id = std::to_string(helper_.supervisor.id());
  FILE* const children = ::fopen(("/proc/" + id + "/task/" + id + "/children").c_str(), "r");
  ASSERT_NE(children, nullptr);
  int helper = 0;
  EXPECT_EQ(::fscanf(children, "%d", &helper), 1);
  ::fclose(children);
  ASSERT_GT(helper, 1);
  ::kill(helper, SIGKILL);
  EXPECT_EQ(hear(), "the authentication helper ended (signal 9) and is started again");
  ask(2, "right");
  EXPECT_EQ(hear(), "2 accepted alice@192.0.2.9 staff ops");
}

}  // namespace
}  // namespace stile::auth
