// What a client's operations come to, where each call of the engine fails in turn, where they are cancelled at every
// moment, and where their time is up: exactly one end each, said truthfully, and nothing left.
#include "client/operations.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <string>

#include "engine/sim/call_sweep_for_tests.h"
#include "route/proxy_for_tests.h"
#include "sys/errno_table.h"

namespace stile::client {
namespace {

using namespace std::chrono_literals;
using route::ClientRig;
using route::octets;
using route::Script;
using route::ScriptedProxy;

const std::string greeting = octets({5, 1, 0});
const std::string accepted = octets({5, 0});
const std::string granted = octets({5, 0, 0, 1, 127, 0, 0, 1, 0x9C, 0x41});
const std::string from_peer = octets({5, 0, 0, 1, 203, 0, 113, 9, 0, 20});

std::string request(int command, int port) {
  return octets({5, command, 0, 1, 192, 0, 2, 10, port >> 8, port & 0xFF});
}

const Target far_target = {.host = Address::v4(192, 0, 2, 10), .port = 80};

/// One proxy with a script, and a client's ground above it.
class Stage final : public OperationOwner {
 public:
  explicit Stage(std::string_view conversation_says, int command, int port = 80, std::string_view no_proxy = "",
                 Script::End end = Script::End::stay)
      : proxy_(rig.engine, {Address::v4(127, 0, 0, 1), 1080},
               Script{.turns = {{greeting, accepted}, {request(command, port), std::string(conversation_says)}},
                      .end = end}) {
    const std::string rules(no_proxy);
    stile_settings settings{};
    settings.size = sizeof settings;
    settings.urls = "socks5h://127.0.0.1";
    settings.no_proxy = rules.c_str();
    plan_ = Plan::create(settings, [](const char*) { return std::nullopt; }).value();
  }
  ~Stage() override {
    proxy_.close_all();
    (void)rig.engine.run_until_idle();
  }

  [[nodiscard]] Ground ground() { return {rig.engine, rig.resolver, *this, *plan_}; }
  void operation_done(Operation&) noexcept override { ++ends; }

  /// Starts it and sees it end, once. `meanwhile` comes after so much time.
  const Failure& play(Operation& operation, std::optional<Duration> limit = 1min, Duration moment = 0s,
                      const std::function<void()>& meanwhile = {}) {
    const int before = ends;
    operation.start(limit);
    EXPECT_EQ(ends, before) << "never inline";
    if (meanwhile) {
      (void)rig.engine.run_for(moment);
      meanwhile();
    }
    for (int i = 0; i < 600 && !operation.done(); ++i) (void)rig.engine.run_for(1s);
    EXPECT_EQ(ends, before + 1);
    return operation.failure();
  }
  [[nodiscard]] ScriptedProxy& proxy() { return proxy_; }

  ClientRig rig;
  int ends = 0;

 private:
  ScriptedProxy proxy_;
  std::shared_ptr<const Plan> plan_;
};

/// An operation, and what the proxy that serves it hears and says.
struct Kind {
  const char* name;
  std::string says;
  int command;
  int port;
  std::function<std::unique_ptr<Operation>(Stage&)> make;
  Script::End end = Script::End::stay;  // of the proxy, behind that
};

std::vector<Kind> kinds() {
  return {
      {"CONNECT", granted, 1, 80,
       [](Stage& at) { return std::make_unique<ConnectOperation>(at.ground(), far_target); }},
      {"BIND", granted, 2, 80, [](Stage& at) { return std::make_unique<ListenOperation>(at.ground(), far_target); }},
      {"RESOLVE_PTR", octets({5, 0, 0, 3, 1, 'x', 0, 0}), 0xF1, 0,
       [](Stage& at) { return std::make_unique<ResolveOperation>(at.ground(), far_target.host); }},
      {"PING",
       granted + "PING 192.0.2.10 (192.0.2.10) 56 data bytes\r\n"
                 "64 bytes from 192.0.2.10: icmp_seq=1 ttl=61 time=0.123 ms\r\n"
                 "--- 192.0.2.10 ping statistics ---\r\n1 sent, 1 received, 0.0% loss, time 1 ms\r\n"
                 "rtt min/avg/max/mdev = 0.123/0.123/0.123/0.000 ms\r\n",
       0x80, 0, [](Stage& at) { return std::make_unique<PingOperation>(at.ground(), far_target.host, 1); },
       Script::End::fin},
  };
}

TEST(Operations, EveryFailingCallEndsEachOnceWithAReason) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    const auto scenario = [&](std::uint64_t fail_at, int error) {
      Stage stage(kind.says, kind.command, kind.port, "", kind.end);
      if (fail_at != 0) stage.rig.engine.fail_nth(fail_at, sys::make_error(error));
      const auto operation = kind.make(stage);
      const Failure& failure = stage.play(*operation, 20s);
      if (fail_at == 0) {
        EXPECT_TRUE(failure.is_none()) << failure.text;
      }
      EXPECT_EQ(failure.is_none(), failure.text.empty());
      return stage.rig.engine.calls();
    };
    EXPECT_GT(engine::sweep_calls(scenario, {EAGAIN, ECONNRESET, EPIPE, ENOBUFS, ENOMEM, EMFILE, EIO}), 5U);
  }
}

TEST(Operations, OneThatIsCancelledAtAnyMomentEndsOnce) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    int done = 0;
    for (int microseconds = 0; microseconds < 1'000; microseconds += 50) {
      Stage stage(kind.says, kind.command, kind.port, "", kind.end);
      const auto operation = kind.make(stage);
      const Failure& failure =
          stage.play(*operation, 1min, std::chrono::microseconds(microseconds), [&] { operation->cancel(); });
      EXPECT_TRUE(failure.is_none() || failure.code == STILE_ERROR_CANCELED) << failure.text;
      if (failure.is_none()) ++done;
      operation->cancel();
    }
    EXPECT_LT(done, 20) << "some were met before their end";
  }
}

TEST(Operations, OneWhoseTimeIsUpSaysSo) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    Stage stage("", kind.command, kind.port);
    const auto operation = kind.make(stage);
    const Failure& failure = stage.play(*operation, 1500ms);
    EXPECT_EQ(failure.code, STILE_ERROR_TIMEOUT) << failure.text;
  }
}

TEST(Operations, APeerIsAwaitedByOneAfterAnother) {
  const auto scenario = [](std::uint64_t fail_at, int error) {
    Stage stage(granted, 2);
    ListenOperation listen(stage.ground(), far_target);
    if (!stage.play(listen).is_none()) ADD_FAILURE() << listen.failure().text;
    const std::shared_ptr<Listening> listening = listen.take();
    EXPECT_EQ(listening->place()->to_string(), "127.0.0.1:40001");
    AcceptOperation impatient(stage.ground(), listening);
    EXPECT_EQ(stage.play(impatient, 1s).code, STILE_ERROR_TIMEOUT);
    const std::uint64_t before = stage.rig.engine.calls();
    if (fail_at != 0) stage.rig.engine.fail_nth(before + fail_at, sys::make_error(error));
    AcceptOperation patient(stage.ground(), listening);
    const Failure& failure = stage.play(patient, 1min, 10ms, [&] { stage.proxy().say(from_peer); });
    if (fail_at == 0) {
      EXPECT_EQ(failure.text, "");
    }
    if (failure.is_none()) {
      EXPECT_EQ(listening->peer()->to_string(), "203.0.113.9:20");
    }
    return stage.rig.engine.calls() - before;
  };
  EXPECT_GT(engine::sweep_calls(scenario, {EAGAIN, ECONNRESET, EIO}), 0U);
}

TEST(Operations, AnAssociationOfOneProxy) {
  const auto scenario = [](std::uint64_t fail_at, int error) {
    Stage stage(granted, 3, 0);
    if (fail_at != 0) stage.rig.engine.fail_nth(fail_at, sys::make_error(error));
    AssociateOperation operation(stage.ground());
    const Failure& failure = stage.play(operation, 20s);
    if (fail_at == 0) {
      EXPECT_EQ(failure.text, "");
    }
    if (failure.is_none()) {
      EXPECT_EQ(operation.relay(0).to_string(), "127.0.0.1:40001");
    }
    return stage.rig.engine.calls();
  };
  EXPECT_GT(engine::sweep_calls(scenario, {EAGAIN, ECONNRESET, EIO}), 5U);
}

TEST(Operations, WhatNoProxyNamesIsReachedDirectly) {
  const auto scenario = [](std::uint64_t fail_at, int error) {
    Stage stage(granted, 1, 80, "192.0.2.0/24");
    ScriptedProxy origin(stage.rig.engine, {Address::v4(192, 0, 2, 10), 80}, {});
    if (fail_at != 0) stage.rig.engine.fail_nth(fail_at, sys::make_error(error));
    {
      ConnectOperation operation(stage.ground(), far_target);
      const Failure& failure = stage.play(operation, 20s);
      if (fail_at == 0) {
        EXPECT_EQ(failure.text, "");
      }
      EXPECT_EQ(stage.proxy().visitors(), 0);
    }
    origin.close_all();
    (void)stage.rig.engine.run_until_idle();
    return stage.rig.engine.calls();
  };
  EXPECT_GT(engine::sweep_calls(scenario, {EAGAIN, ECONNREFUSED, EMFILE, EIO}), 1U);
}

}  // namespace
}  // namespace stile::client
