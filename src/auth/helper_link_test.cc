// Logins as a worker asks for them, judged by a helper that this test plays: right, wrong, silent, late, gone, come
// back, and one that talks nonsense.
#include "auth/helper_link.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "auth/helper_verifier.h"
#include "auth/pool_verifier.h"
#include "engine/epoll/epoll_engine.h"
#include "sys/record_socket.h"
#include "sys/wait_any.h"

namespace stile::auth {
namespace {

using namespace std::chrono_literals;
using Octets = std::vector<std::uint8_t>;

constexpr auto long_enough = 20s;
constexpr auto soon = 50ms;

Octets encoded(const wire::HelperVerdict& verdict) {
  Octets room(limits::helper_record_octets_max);
  ByteWriter writer(room);
  wire::encode_helper_verdict(writer, verdict);
  room.resize(writer.written().size());
  return room;
}

class HelperLinkTest : public ::testing::Test {
 protected:
  struct Attempt {
    HelperLinkTest* test = nullptr;
    Login login;
    bool done = false;

    void on_done(engine::Status) {
      done = true;
      test->engine_->stop();
    }
  };

  HelperLinkTest() : engine_(std::move(*engine::EpollEngine::create({}))), key_(std::move(*DigestKey::create())) {
    wake_.bind<&HelperLinkTest::on_wake>(this);
    engine_->on_wake(&wake_);
  }
  ~HelperLinkTest() override {
    verifier_.reset();
    engine_->on_wake(nullptr);
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  void start(Duration wait = long_enough) {
    auto pair = sys::record_pair();
    ASSERT_TRUE(pair);
    helper_ = std::move(pair->there);
    open_office(HelperLink::create(std::move(pair->here), tell(), wait));
  }
  /// With a helper that is a service of its own, and is not there yet.
  void start_without() {
    path_ = ::testing::TempDir() + "stile-helper-" + std::to_string(::getpid());
    open_office(HelperLink::create(path_, tell(), long_enough));
  }
  HelperLink::Tell tell() {
    return [this](std::string_view what, std::string_view why, std::string_view) {
      const std::scoped_lock lock(told_mutex_);
      told_.emplace_back(std::string(what) + ": " + std::string(why));
    };
  }
  void open_office(Result<std::unique_ptr<HelperLink>> link) {
    ASSERT_TRUE(link);
    office_ = std::make_unique<HelperOffice>(*key_, std::move(*link));
    verifier_ = std::make_unique<HelperVerifier>(*engine_, *office_);
  }

  void listen() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ASSERT_LT(path_.size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, path_.data(), path_.size());
    listening_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listening_.get(), 8), 0);
  }
  /// The link's next connection is the helper's.
  void take_connection() {
    std::array watched{sys::Waited{.descriptor = listening_.get()}};
    ASSERT_TRUE(sys::wait_any(watched, long_enough));
    auto connection = sys::accept_records(listening_.get());
    ASSERT_TRUE(connection);
    EXPECT_EQ(sys::peer_user(connection->get()), ::geteuid());
    helper_ = std::move(*connection);
  }

  void on_wake(engine::Status) { verifier_->collect(); }

  std::unique_ptr<Attempt> begin(std::string_view user, std::string_view password, Duration remembered = 60s,
                                 const KnownLogin* known = nullptr) {
    auto attempt = std::make_unique<Attempt>();
    attempt->test = this;
    attempt->login.bind<&Attempt::on_done>(attempt.get());
    const Secret secret(password);
    verifier_->verify(attempt->login, {.method = AuthMethod::pam,
                                       .users = nullptr,
                                       .service = "stile",
                                       .user = user,
                                       .password = &secret,
                                       .client = Address::v4(192, 0, 2, 9),
                                       .listener = "127.0.0.1:1080",
                                       .source = Address::v4(192, 0, 2, 9),
                                       .shared_source = false,
                                       .remembered = remembered,
                                       .known = known});
    return attempt;
  }
  /// "alice [staff]", "auth.failed", …, with "remembered" where the helper was not asked.
  std::string outcome(Attempt& attempt) {
    while (!attempt.done) engine_->run();
    const Login& login = attempt.login;
    const std::string how = login.remembered() ? " remembered" : "";
    if (!login.identity()) return std::string(token(login.reason())) + how;
    std::string text = login.identity()->user();
    for (const std::string& group : login.identity()->groups()) text += " [" + group + "]";
    return text + how;
  }
  std::string outcome(std::unique_ptr<Attempt> attempt) { return outcome(*attempt); }

  /// The next login that reaches the helper; its texts live until the next call.
  wire::HelperLogin next() {
    std::array watched{sys::Waited{.descriptor = helper_.get()}};
    EXPECT_TRUE(sys::wait_any(watched, long_enough));
    room_.resize(limits::helper_record_octets_max);
    const auto received = sys::receive_record(helper_.get(), room_);
    EXPECT_TRUE(received);
    if (received) room_.resize(*received);
    const auto login = wire::whole_record(wire::decode_helper_login(room_), ConstBytes(room_));
    EXPECT_TRUE(login);
    return login.value_or(wire::HelperLogin{});
  }
  bool asked() {
    std::array watched{sys::Waited{.descriptor = helper_.get()}};
    return sys::wait_any(watched, soon) && watched[0].ready;
  }
  /// When there is room for it: a few of the longest fill the socket.
  void say(const Octets& record) {
    std::array watched{sys::Waited{.descriptor = helper_.get(), .what = sys::WaitFor::writable}};
    for (auto sent = sys::send_record(helper_.get(), record); !sent; sent = sys::send_record(helper_.get(), record)) {
      ASSERT_EQ(sent.error().kind, ErrorKind::would_block);
      ASSERT_TRUE(sys::wait_any(watched, long_enough));
    }
  }
  void answer(std::uint64_t id, wire::HelperOutcome result, std::string_view user = {},
              std::vector<std::string_view> groups = {}) {
    say(encoded({.id = id, .outcome = result, .user = user, .groups = std::move(groups)}));
  }
  std::size_t told(std::string_view words) {
    const std::scoped_lock lock(told_mutex_);
    return static_cast<std::size_t>(
        std::ranges::count_if(told_, [&](const std::string& text) { return text.contains(words); }));
  }

  std::mutex told_mutex_;
  std::vector<std::string> told_;
  std::unique_ptr<engine::EpollEngine> engine_;
  std::unique_ptr<const DigestKey> key_;
  std::unique_ptr<HelperOffice> office_;
  std::unique_ptr<HelperVerifier> verifier_;
  engine::Operation wake_;
  sys::UniqueFd helper_;
  std::string path_;
  sys::UniqueFd listening_;
  Octets room_;
};

TEST_F(HelperLinkTest, TheHelperIsToldAllThereIs) {
  start();
  auto attempt = begin("alice", "secret");
  const wire::HelperLogin login = next();
  EXPECT_EQ(login.method, AuthMethod::pam);
  EXPECT_EQ(login.service, "stile");
  EXPECT_EQ(login.user, "alice");
  EXPECT_EQ(login.password, "secret");
  EXPECT_EQ(login.client, "192.0.2.9");
  EXPECT_EQ(login.listener, "127.0.0.1:1080");
  EXPECT_GT(Duration(static_cast<Duration::rep>(login.due)), sys::monotonic_now());
  answer(login.id, wire::HelperOutcome::accepted, "alice", {"staff"});
  EXPECT_EQ(outcome(*attempt), "alice [staff]");
  EXPECT_EQ(attempt->login.identity()->method(), "pam");
}

TEST_F(HelperLinkTest, SuccessesAreRememberedAndFailuresAreNot) {
  start();
  for (int i = 0; i < 2; ++i) {
    auto wrong = begin("alice", "wrong");
    answer(next().id, wire::HelperOutcome::refused);
    EXPECT_EQ(outcome(*wrong), "auth.failed");
  }
  auto right = begin("alice", "secret");
  answer(next().id, wire::HelperOutcome::accepted, "ALICE", {"staff"});
  EXPECT_EQ(outcome(*right), "ALICE [staff]");
  EXPECT_EQ(outcome(begin("alice", "secret")), "ALICE [staff] remembered");
  const KnownLogin known{right->login.digest(), *right->login.identity()};
  office_->forget_all();
  EXPECT_EQ(outcome(begin("alice", "secret", 60s, &known)), "ALICE [staff] remembered");
  auto anew = begin("alice", "secret");
  answer(next().id, wire::HelperOutcome::refused);
  EXPECT_EQ(outcome(*anew), "auth.failed");
}

TEST_F(HelperLinkTest, EqualLoginsAreJudgedOnceButOneTimePasswordsEach) {
  start();
  auto first = begin("alice", "secret");
  auto second = begin("alice", "secret");
  answer(next().id, wire::HelperOutcome::accepted, "alice");
  EXPECT_EQ(outcome(*first), "alice");
  EXPECT_EQ(outcome(*second), "alice");
  auto once = begin("bob", "123456", 0s);
  auto again = begin("bob", "123456", 0s);
  answer(next().id, wire::HelperOutcome::accepted, "bob");
  answer(next().id, wire::HelperOutcome::refused);
  EXPECT_EQ(outcome(*once), "bob");
  EXPECT_EQ(outcome(*again), "auth.failed");
}

TEST_F(HelperLinkTest, NamesThatMeanSomethingElseToABackEndReachNone) {  // threats TA5, TA6
  start();
  for (const std::string_view name :
       {std::string_view("admin\0x", 7), std::string_view("al\nice"), std::string_view("\xFF"), std::string_view()}) {
    EXPECT_EQ(outcome(begin(name, "secret")), "auth.failed");
  }
  EXPECT_FALSE(asked());
  auto odd = begin("*)(uid=*\\", "secret");
  EXPECT_EQ(next().user, "*)(uid=*\\") << "escaping is the module's";
  verifier_->cancel(odd->login);
  static_cast<void>(outcome(*odd));
}

TEST_F(HelperLinkTest, ANameOfAnotherProviderIsNobodys) {
  start();
  for (const std::string_view name : {"uid:0", "anyone", "a b"}) {
    auto attempt = begin("alice", std::string("pw-") + std::string(name));
    answer(next().id, wire::HelperOutcome::accepted, name);
    EXPECT_EQ(outcome(*attempt), "auth.failed") << name;
  }
  auto groups = begin("alice", "secret");
  answer(next().id, wire::HelperOutcome::accepted, "alice", {"domain users", "staff", "staff"});
  EXPECT_EQ(outcome(*groups), "alice [staff]") << "groups that no rule can name are left out";
}

TEST_F(HelperLinkTest, SilenceFailsInTimeAndIsToldOnce) {
  start(30ms);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcome(begin("alice", "secret")), "auth.unavailable");
  EXPECT_EQ(told("logins by pam fail"), 1U);
  for (int i = 0; i < 3; ++i) answer(next().id, wire::HelperOutcome::accepted, "alice");  // too late for anybody
  EXPECT_EQ(outcome(begin("alice", "secret")), "auth.unavailable");
}

TEST_F(HelperLinkTest, TroubleEndsWithAVerdict) {
  start();
  for (int i = 0; i < 2; ++i) {
    auto attempt = begin("alice", "secret");
    answer(next().id, i == 0 ? wire::HelperOutcome::unavailable : wire::HelperOutcome::crashed);
    EXPECT_EQ(outcome(*attempt), i == 0 ? "auth.unavailable" : "auth.crashed");
  }
  auto attempt = begin("alice", "secret");
  answer(next().id, wire::HelperOutcome::refused);
  EXPECT_EQ(outcome(*attempt), "auth.failed");
  auto last = begin("alice", "secret");
  answer(next().id, wire::HelperOutcome::refused);
  EXPECT_EQ(outcome(*last), "auth.failed");
  EXPECT_EQ(told("logins by pam fail"), 1U);
  EXPECT_EQ(told("judged again"), 1U);
}

TEST_F(HelperLinkTest, AHelperThatIsGoneFailsAtOnce) {
  start();
  auto attempt = begin("alice", "secret");
  static_cast<void>(next());
  helper_.reset();
  EXPECT_EQ(outcome(*attempt), "auth.unavailable");
  EXPECT_EQ(outcome(begin("bob", "secret")), "auth.unavailable");
  EXPECT_EQ(told("logins by pam fail"), 1U);
}

TEST_F(HelperLinkTest, AHelperOfItsOwnIsFoundWhenItComes) {
  start_without();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcome(begin("alice", "secret")), "auth.unavailable");
  listen();
  take_connection();
  auto attempt = begin("alice", "secret");
  answer(next().id, wire::HelperOutcome::accepted, "alice");
  EXPECT_EQ(outcome(*attempt), "alice");
  // What is told of a verdict is told behind it, and before the next one.
  auto last = begin("bob", "secret");
  answer(next().id, wire::HelperOutcome::refused);
  EXPECT_EQ(outcome(*last), "auth.failed");
  EXPECT_EQ(told("cannot reach the authentication helper at unix:" + path_ + ": No such file"), 1U);
  EXPECT_EQ(told("logins by pam fail"), 1U);
  EXPECT_EQ(told("judged again"), 1U);
}

TEST_F(HelperLinkTest, AHelperOfItsOwnThatIsLostIsFoundAgain) {
  start_without();
  listen();
  for (int round = 0; round < 3; ++round) {
    take_connection();
    const std::string user = "user" + std::to_string(round);
    auto judged = begin(user, "secret");
    answer(next().id, wire::HelperOutcome::accepted, user);
    EXPECT_EQ(outcome(*judged), user);
    auto lost = begin("alice", "secret");
    static_cast<void>(next());
    helper_.reset();
    EXPECT_EQ(outcome(*lost), "auth.unavailable") << "it may have been judged: nobody is asked twice";
  }
  take_connection();
  auto attempt = begin("alice", "secret");
  const std::uint64_t id = next().id;
  EXPECT_EQ(id, 7U) << "what was asked of one is no question of the next";
  answer(id - 1, wire::HelperOutcome::accepted, "mallory");
  answer(id, wire::HelperOutcome::refused);
  EXPECT_EQ(outcome(*attempt), "auth.failed");
}

TEST_F(HelperLinkTest, OneThatTurnsTheServerAwayIsToldOnceAndAskedAgain) {
  start_without();
  listen();
  for (int i = 0; i < 4; ++i) {
    take_connection();
    helper_.reset();
  }
  take_connection();
  auto attempt = begin("alice", "secret");
  answer(next().id, wire::HelperOutcome::accepted, "alice");
  EXPECT_EQ(outcome(*attempt), "alice");
  EXPECT_EQ(told("cannot reach the authentication helper at unix:" + path_), 1U);
}

TEST_F(HelperLinkTest, NonsenseIsIgnoredAndToldOnce) {
  start();
  auto attempt = begin("alice", "secret");
  const std::uint64_t id = next().id;
  say({7});
  say({1, 2, 0, 0});
  say(Octets(limits::helper_record_octets_max, 1));
  say(Octets(limits::helper_record_octets_max + 1, 1));
  answer(id + 1, wire::HelperOutcome::accepted, "mallory");
  Octets good = encoded({.id = id, .outcome = wire::HelperOutcome::accepted, .user = "alice", .groups = {}});
  for (std::size_t size = 1; size < good.size(); ++size)
    say(Octets(good.begin(), good.begin() + static_cast<long>(size)));
  good.push_back(0);
  say(good);
  answer(id, wire::HelperOutcome::accepted, "alice");
  EXPECT_EQ(outcome(*attempt), "alice");
  EXPECT_EQ(told("what no helper says"), 1U);
}

TEST_F(HelperLinkTest, ACancelledLoginHearsNothingMore) {
  start();
  auto attempt = begin("alice", "secret");
  const std::uint64_t id = next().id;
  verifier_->cancel(attempt->login);
  static_cast<void>(outcome(*attempt));
  EXPECT_TRUE(attempt->login.canceled());
  answer(id, wire::HelperOutcome::accepted, "alice");
  auto other = begin("bob", "secret");
  answer(next().id, wire::HelperOutcome::refused);
  EXPECT_EQ(outcome(*other), "auth.failed");
}

TEST_F(HelperLinkTest, AHelperThatReadsNothingFillsItsSocketAndNoMore) {
  start(30ms);
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(outcome(begin("alice", "secret" + std::to_string(i))), "auth.unavailable");
    if (i > 3) i += 40;  // each waits for its time; a few are enough
  }
  EXPECT_EQ(told("logins by pam fail"), 1U);
}

}  // namespace
}  // namespace stile::auth
