// What only the epoll engine promises; the contract itself is judged by tests/conformance.
#include "engine/epoll/epoll_engine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace stile::engine {
namespace {

using namespace std::chrono_literals;

struct Actor {
  Socket socket;
  int done = 0;
  int canceled = 0;

  Actor() { socket.bind<&Actor::completed>(this); }
  void completed(Status status) { (status == Status::done ? done : canceled)++; }
};

struct Alarm {
  Timer timer;
  std::function<void()> rings;

  Alarm() { timer.bind<&Alarm::completed>(this); }
  void completed(Status status) {
    if (status == Status::done) rings();
  }
};

class EpollEngineTest : public testing::Test {
 protected:
  void TearDown() override {
    for (Actor* actor : {&listener_, &client_, &accepted_}) engine_->close(actor->socket);
    engine_->stop();
    engine_->run();
  }
  bool run_until(const std::function<bool()>& condition, Duration limit = 5s) {
    const Instant end = engine_->now() + limit;
    bool met = condition();
    Alarm look;
    look.rings = [&] {
      met = condition();
      if (met || engine_->now() >= end) {
        engine_->stop();
      } else {
        engine_->start_timer(look.timer, engine_->now() + 1ms);
      }
    };
    engine_->start_timer(look.timer, engine_->now() + 1ms);
    engine_->run();
    return met;
  }
  void connect_pair() {
    ASSERT_TRUE(engine_->listen(listener_.socket, Endpoint{Address::v4(127, 0, 0, 1), 0}, {}));
    ASSERT_TRUE(engine_->connect(client_.socket, engine_->local_endpoint(listener_.socket).value()));
    ASSERT_TRUE(run_until([&] { return client_.done == 1; }));
    ASSERT_TRUE(engine_->connect_result(client_.socket));
    ASSERT_TRUE(engine_->try_accept(listener_.socket, accepted_.socket));
  }

  std::unique_ptr<EpollEngine> engine_ = EpollEngine::create().value();
  Actor listener_;
  Actor client_;
  Actor accepted_;
};

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &length), 0);
  return value;
}

// What the kernel says that an epoll of this process watches the descriptor for (proc(5), fdinfo).
std::uint32_t watched_events(int fd) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      int watched = -1;
      std::uint32_t events = 0;
      if (std::sscanf(line.c_str(), "tfd: %d events: %x", &watched, &events) == 2 && watched == fd) return events;
    }
  }
  return 0;
}

TEST_F(EpollEngineTest, BothEndsHaveTheStreamOptionsAndIcmpReportsAreOffOnceConnected) {
  connect_pair();
  for (const int fd : {client_.socket.handle(), accepted_.socket.handle()}) {
    EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(option(fd, SOL_SOCKET, SO_OOBINLINE), 1);
    EXPECT_EQ(option(fd, IPPROTO_IP, IP_RECVERR), 0);
    EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST_F(EpollEngineTest, KeepaliveComesWithAcceptingAndLaterAfterDialling) {
  engine_ = EpollEngine::create({.keepalive_delay = 5ms}).value();
  connect_pair();
  EXPECT_EQ(option(accepted_.socket.handle(), SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(accepted_.socket.handle(), IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option(client_.socket.handle(), SOL_SOCKET, SO_KEEPALIVE), 0);
  ASSERT_TRUE(run_until([&] { return option(client_.socket.handle(), SOL_SOCKET, SO_KEEPALIVE) == 1; }));
  EXPECT_EQ(option(client_.socket.handle(), IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option(client_.socket.handle(), IPPROTO_TCP, TCP_KEEPINTVL), 10);
  EXPECT_EQ(option(client_.socket.handle(), IPPROTO_TCP, TCP_KEEPCNT), 6);
}

// A descriptor that is closed and opened again in the meantime must not get the former one's.
TEST_F(EpollEngineTest, AClosedConnectionGetsNoKeepalive) {
  engine_ = EpollEngine::create({.keepalive_delay = 5ms}).value();
  connect_pair();
  const int fd = client_.socket.handle();
  engine_->close(client_.socket);
  ASSERT_TRUE(engine_->open_udp(client_.socket, {Address::v4(127, 0, 0, 1), 0}));
  ASSERT_EQ(client_.socket.handle(), fd);
  bool done = false;
  const Instant enough = engine_->now() + 30ms;
  ASSERT_TRUE(run_until([&] { return done = done || engine_->now() >= enough; }));
  EXPECT_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
}

// A loop that looks before it sleeps misses nothing, whichever of the two it is doing when something happens.
TEST_F(EpollEngineTest, LookingAndSleepingNoticeTheSame) {
  engine_ = EpollEngine::create({.spin = 20us}).value();
  std::atomic<int> answered = 0;
  struct Answer {
    Operation woken;
    std::atomic<int>* count = nullptr;
    void completed(Status) { ++*count; }
  } answer;
  answer.count = &answered;
  answer.woken.bind<&Answer::completed>(&answer);
  engine_->on_wake(&answer.woken);
  constexpr int questions = 2'000;
  std::thread asker([&] {
    for (int asked = 0; asked < questions; ++asked) {
      engine_->wake();
      while (answered.load() <= asked) std::this_thread::yield();
      if (asked % 100 == 0) std::this_thread::sleep_for(1ms);
    }
  });
  EXPECT_TRUE(run_until([&] { return answered.load() == questions; }, 60s));
  asker.join();
  engine_->on_wake(nullptr);
}

// Where nobody accepts, what waits must not keep the loop awake; a later wait tells of it at once.
TEST_F(EpollEngineTest, AListenerThatNobodyWaitsForIsMuted) {
  connect_pair();
  Actor second;
  ASSERT_TRUE(engine_->connect(second.socket, engine_->local_endpoint(listener_.socket).value()));
  ASSERT_TRUE(run_until([&] { return second.done == 1; }));
  engine_->wait(listener_.socket, Interest::readable);
  EXPECT_NE(watched_events(listener_.socket.handle()) & EPOLLIN, 0U);
  ASSERT_TRUE(run_until([&] { return listener_.done == 1; }));
  ASSERT_TRUE(run_until([&] { return (watched_events(listener_.socket.handle()) & EPOLLIN) == 0; }));
  engine_->wait(listener_.socket, Interest::readable);
  ASSERT_TRUE(run_until([&] { return listener_.done == 2; }));
  engine_->close(second.socket);
}

// A read stops short at the urgent mark although more has arrived; that must not pass for a drained socket.
TEST_F(EpollEngineTest, UrgentOctetsAreReadInLineAndHideNothing) {
  connect_pair();
  engine_->wait(accepted_.socket, Interest::readable);
  ASSERT_EQ(::send(client_.socket.handle(), "before", 6, 0), 6);
  ASSERT_EQ(::send(client_.socket.handle(), "!", 1, MSG_OOB), 1);
  ASSERT_EQ(::send(client_.socket.handle(), "after", 5, 0), 5);
  ASSERT_TRUE(run_until([&] { return accepted_.done == 1; }));
  std::string received;
  while (received.size() < 12) {
    std::array<std::uint8_t, 100> buffer;
    const Result<std::size_t> got = engine_->receive(accepted_.socket, buffer);
    ASSERT_TRUE(got) << "after " << received;
    received.append(reinterpret_cast<const char*>(buffer.data()), *got);
    if (received.size() == 12) break;
    // As a driver does that reads once a turn.
    const int before = accepted_.done;
    engine_->wait(accepted_.socket, Interest::readable);
    ASSERT_TRUE(run_until([&] { return accepted_.done > before; })) << "after " << received;
  }
  EXPECT_EQ(received, "before!after");
}

TEST_F(EpollEngineTest, PreciseTimersComeInOrderAndNeverBeforeTheirDeadlines) {
  engine_->sleep_precisely();
  Alarm alarm;
  int rung = 0;
  bool early = false;
  Instant due = engine_->now() + 70us;
  alarm.rings = [&] {
    early = early || engine_->now() < due;
    if (++rung == 20) return engine_->stop();
    due = engine_->now() + rung * 70us;
    engine_->start_timer(alarm.timer, due);
  };
  engine_->start_timer(alarm.timer, due);
  engine_->run();
  EXPECT_EQ(rung, 20);
  EXPECT_FALSE(early);
}

TEST_F(EpollEngineTest, SigpipeIsIgnoredSinceSpliceCannotSuppressIt) {
  struct sigaction current{};
  ASSERT_EQ(::sigaction(SIGPIPE, nullptr, &current), 0);
  EXPECT_EQ(current.sa_handler, SIG_IGN);
}

TEST(EpollEngineOptions, SigpipeIsLeftToWhoeverOwnsTheProcess) {
  struct sigaction before{};
  struct sigaction current{};
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  ASSERT_EQ(::sigaction(SIGPIPE, &standard, &before), 0);
  ASSERT_TRUE(EpollEngine::create({.ignore_broken_pipes = false}));
  ASSERT_EQ(::sigaction(SIGPIPE, nullptr, &current), 0);
  EXPECT_EQ(current.sa_handler, SIG_DFL);
  ::sigaction(SIGPIPE, &before, nullptr);
}

TEST_F(EpollEngineTest, ASocketThatIsGivenAwayIsNoLongerWatched) {
  connect_pair();
  engine_->wait(client_.socket, Interest::readable);
  engine_->cancel(client_.socket);
  ASSERT_TRUE(run_until([&] { return client_.canceled == 1; }));
  const int fd = client_.socket.handle();
  ASSERT_NE(watched_events(fd), 0U);
  sys::UniqueFd given = engine_->give(client_.socket);
  EXPECT_EQ(given.get(), fd);
  EXPECT_FALSE(client_.socket.is_open());
  EXPECT_EQ(watched_events(fd), 0U);
  ASSERT_EQ(engine_->send(accepted_.socket, std::array<std::uint8_t, 1>{7}), 1U);
  pollfd ready{.fd = engine_->descriptor(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&ready, 1, 10), 0) << "the engine hears nothing of it";
  engine_->take(client_.socket, std::move(given), EpollEngine::Role::stream);
  std::array<std::uint8_t, 4> octets{};
  ASSERT_EQ(engine_->receive(client_.socket, octets), 1U);
  EXPECT_EQ(octets[0], 7);
}

TEST_F(EpollEngineTest, APipeThatIsNotGrantedItsSizeSaysWhatItGot) {
  Pipe pipe;
  ASSERT_TRUE(engine_->open_pipe(pipe, 256 * 1024));
  EXPECT_EQ(pipe.capacity, static_cast<std::size_t>(::fcntl(pipe.write_handle, F_GETPIPE_SZ)));
  engine_->close_pipe(pipe);
  // More than any user may ask for: refused, and the pipe is there all the same.
  ASSERT_TRUE(engine_->open_pipe(pipe, 2'000'000'000));
  EXPECT_EQ(pipe.capacity, static_cast<std::size_t>(::fcntl(pipe.write_handle, F_GETPIPE_SZ)));
  engine_->close_pipe(pipe);
}

TEST_F(EpollEngineTest, AnAdoptedDescriptorIsWatchedLevelTriggeredAndNeverClosed) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  Actor adopted;
  engine_->adopt(adopted.socket, ends[0]);
  engine_->wait(adopted.socket, Interest::readable);
  EXPECT_FALSE(run_until([&] { return adopted.done > 0; }, 10ms));
  engine_->wait(adopted.socket, Interest::writable);  // moves the pending wait
  ASSERT_TRUE(run_until([&] { return adopted.done == 1; }));
  ASSERT_EQ(::write(ends[1], "ab", 2), 2);
  // Its owner reads only a part, without the engine's knowledge: the rest is told again.
  for (int expected = 2; expected <= 3; ++expected) {
    engine_->wait(adopted.socket, Interest::readable);
    ASSERT_TRUE(run_until([&] { return adopted.done == expected; }));
    char octet = 0;
    ASSERT_EQ(::read(ends[0], &octet, 1), 1);
  }
  engine_->wait(adopted.socket, Interest::readable);
  engine_->release(adopted.socket);
  EXPECT_FALSE(adopted.socket.is_open());
  ASSERT_TRUE(run_until([&] { return adopted.canceled == 1; }));
  EXPECT_NE(::fcntl(ends[0], F_GETFD), -1) << "still open";
  // Adopted again, and closed by its owner before it is released.
  engine_->adopt(adopted.socket, ends[0]);
  engine_->wait(adopted.socket, Interest::readable);
  ::close(ends[0]);
  engine_->release(adopted.socket);
  ASSERT_TRUE(run_until([&] { return adopted.canceled == 2; }));
  ::close(ends[1]);
}

struct Woken {
  Operation operation;
  int count = 0;
  std::function<void()> on_done;
  Woken() { operation.bind<&Woken::completed>(this); }
  void completed(Status /*status*/) {
    ++count;
    on_done();
  }
};

TEST_F(EpollEngineTest, WakesFromOtherThreadsAreSeenAndNoneIsLost) {
  std::atomic<int> produced = 0;
  int seen = 0;
  Woken woken;
  constexpr int threads = 3;
  constexpr int each = 20'000;
  woken.on_done = [&] {
    seen = produced.load(std::memory_order_relaxed);
    if (seen == threads * each) engine_->stop();
  };
  engine_->on_wake(&woken.operation);
  std::array<std::jthread, threads> wakers;
  for (std::jthread& waker : wakers) {
    waker = std::jthread([&] {
      for (int i = 0; i < each; ++i) {
        produced.fetch_add(1, std::memory_order_relaxed);
        engine_->wake();
      }
    });
  }
  engine_->run();  // ends only if the last wake is seen
  EXPECT_EQ(seen, threads * each);
  EXPECT_LE(woken.count, threads * each);
}

TEST_F(EpollEngineTest, AWakePublishesWhatWasWrittenBeforeIt) {
  int message = 0;  // not atomic: the wake itself must order it
  Woken woken;
  woken.on_done = [&] {
    EXPECT_EQ(message, 42);
    engine_->stop();
  };
  engine_->on_wake(&woken.operation);
  std::jthread waker([&] {
    message = 42;
    engine_->wake();
  });
  engine_->run();
}

// A socket that computes no checksums stands for a way out that cannot: the kernel refuses trains with EINVAL.
TEST_F(EpollEngineTest, WhatIsRefusedAsATrainGoesSingly) {
  const Endpoint anywhere{Address::v4(127, 0, 0, 1), 0};
  ASSERT_TRUE(engine_->open_udp(client_.socket, anywhere));
  ASSERT_TRUE(engine_->open_udp(accepted_.socket, anywhere));
  ASSERT_TRUE(engine_->use_trains(client_.socket));
  const int on = 1;
  ASSERT_EQ(::setsockopt(client_.socket.handle(), SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), 0);
  const Endpoint to = engine_->local_endpoint(accepted_.socket).value();
  std::array<std::string, 40> payloads;
  std::vector<Datagram> datagrams;
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    payloads[i] = std::string(i % 10 == 0 ? 30 : 50, static_cast<char>('A' + i));
    datagrams.push_back(
        {.peer = to, .payload = {reinterpret_cast<std::uint8_t*>(payloads[i].data()), payloads[i].size()}});
  }
  std::vector<std::size_t> steps;
  for (std::span<const Datagram> rest = datagrams; !rest.empty(); rest = rest.subspan(steps.back())) {
    const Result<std::size_t> sent = engine_->send_datagrams(client_.socket, rest);
    ASSERT_TRUE(sent) << "a train's failure is none of a datagram's";
    steps.push_back(*sent);
  }
  EXPECT_LE(steps.size(), 4u) << "what was refused once is not tried again: " << testing::PrintToString(steps);
  for (const std::string& payload : payloads) {
    std::array<std::uint8_t, 100> room;
    std::array datagram{Datagram{.payload = room}};
    ASSERT_TRUE(engine_->receive_datagrams(accepted_.socket, datagram));
    EXPECT_EQ(std::string(datagram[0].payload.begin(), datagram[0].payload.end()), payload);
  }
}

TEST_F(EpollEngineTest, SleepsUntilATimerAndNotLonger) {
  Alarm alarm;
  alarm.rings = [&] { engine_->stop(); };
  const Instant start = engine_->now();
  engine_->start_timer(alarm.timer, start + 15ms);
  engine_->run();
  EXPECT_GE(engine_->now(), start + 15ms);
  EXPECT_LT(engine_->now(), start + 5s);
}

TEST(EpollEngineDeathTest, LeavingASocketOpenIsAProgrammersFault) {
  EXPECT_DEATH(
      {
        Socket socket;
        const auto engine = EpollEngine::create().value();
        (void)engine->open_udp(socket, Endpoint{Address::v4(127, 0, 0, 1), 0});
      },
      "open_sockets_ == 0");
}

TEST(EpollEngineDeathTest, ASecondStartOfAPendingOperationIsAProgrammersFault) {
  EXPECT_DEATH(
      {
        const auto engine = EpollEngine::create().value();
        Woken twice;
        engine->post(twice.operation);
        engine->post(twice.operation);
      },
      "does not hold");
}

}  // namespace
}  // namespace stile::engine
