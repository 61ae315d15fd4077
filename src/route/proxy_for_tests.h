// A proxy that follows a script, on the simulated engine, and the names around it. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/sim/sim_engine.h"
#include "protect/transform_for_tests.h"
#include "resolve/caching_resolver.h"
#include "resolve/table_resolver.h"
#include "route/chain.h"
#include "route/upstreams.h"

namespace stile::route {

[[nodiscard]] inline std::string octets(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

/// What a client says, and what the proxy answers to it.
struct Turn {
  std::string hears;  // so many octets are awaited
  std::string says;
};

struct Script {
  enum class End : std::uint8_t { stay, fin, reset };
  std::vector<Turn> turns;
  End end = End::stay;  // behind the last turn
};

/// Takes one connection after the other, with the same script for each.
class ScriptedProxy {
 public:
  ScriptedProxy(engine::SimEngine& engine, const Endpoint& at, Script script)
      : engine_(engine), script_(std::move(script)) {
    const engine::SimEngine::Bystander bystander(engine_);
    listener_.bind<&ScriptedProxy::on_accept>(this);
    socket_.bind<&ScriptedProxy::on_ready>(this);
    STILE_ASSERT(engine_.listen(listener_, at, {}));
    engine_.wait(listener_, engine::Interest::readable);
  }
  ScriptedProxy(const ScriptedProxy&) = delete;
  ScriptedProxy& operator=(const ScriptedProxy&) = delete;
  /// After `close_all` and a run.
  ~ScriptedProxy() = default;

  void close_all() {
    engine_.close(listener_);
    engine_.close(socket_);
  }
  void say(const std::string& text) {
    const engine::SimEngine::Bystander bystander(engine_);
    send(text);
  }
  void fin() {
    const engine::SimEngine::Bystander bystander(engine_);
    (void)engine_.shutdown_write(socket_);
  }

  /// Everything that the clients sent.
  [[nodiscard]] const std::string& heard() const noexcept { return heard_; }
  [[nodiscard]] int visitors() const noexcept { return visitors_; }
  /// The last one has closed.
  [[nodiscard]] bool left() const noexcept { return visitors_ > 0 && !socket_.is_open(); }

 private:
  void on_accept(engine::Status) {
    const engine::SimEngine::Bystander bystander(engine_);
    if (!listener_.is_open() || socket_.is_open()) return;
    if (!engine_.try_accept(listener_, socket_)) return engine_.wait(listener_, engine::Interest::readable);
    ++visitors_;
    turn_ = 0;
    in_turn_ = 0;
    act();
    if (socket_.is_open()) engine_.wait(socket_, engine::Interest::readable);
  }

  void on_ready(engine::Status) {
    if (!socket_.is_open()) return;
    const engine::SimEngine::Bystander bystander(engine_);
    std::array<std::uint8_t, 1024> buffer;
    const auto received = engine_.receive(socket_, buffer);
    if (received && *received > 0) {
      heard_.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*received));
      in_turn_ += *received;
      act();
    } else if (received || received.error().kind != ErrorKind::would_block) {
      engine_.close(socket_);
      engine_.wait(listener_, engine::Interest::readable);
    }
    if (socket_.is_open()) engine_.wait(socket_, engine::Interest::readable);
  }

  void act() {
    while (turn_ < script_.turns.size() && in_turn_ >= script_.turns[turn_].hears.size()) {
      in_turn_ -= script_.turns[turn_].hears.size();
      send(script_.turns[turn_++].says);
    }
    if (turn_ < script_.turns.size() || script_.end == Script::End::stay) return;
    if (script_.end == Script::End::fin) {
      (void)engine_.shutdown_write(socket_);
    } else {
      engine_.abort(socket_);
      engine_.wait(listener_, engine::Interest::readable);
    }
  }

  void send(const std::string& text) {
    ConstBytes rest(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    while (!rest.empty() && socket_.is_open()) {
      const auto sent = engine_.send(socket_, rest);
      if (!sent) return;
      rest = rest.subspan(*sent);
    }
  }

  engine::SimEngine& engine_;
  Script script_;
  engine::Socket listener_;
  engine::Socket socket_;
  std::string heard_;
  std::size_t turn_ = 0;
  std::size_t in_turn_ = 0;
  int visitors_ = 0;
};

/// The engine with a resolver that knows a few names. Checks the balance at its end.
class ClientRig {
 public:
  explicit ClientRig(std::uint64_t seed = 1) : engine(seed), table_(engine), resolver(engine, table_, {}) {}
  ~ClientRig() {
    EXPECT_EQ(engine.open_sockets(), 0U);
    EXPECT_EQ(engine.pending_timers(), 0U);
  }

  void add_name(const std::string& name, std::vector<Address> ipv4, std::vector<Address> ipv6 = {}) {
    table_.add(std::get<HostName>(canonical_host(name).value()),
               {.ipv4 = resolve::TableResolver::half(std::move(ipv4), std::chrono::seconds(60)),
                .ipv6 = resolve::TableResolver::half(std::move(ipv6), std::chrono::seconds(60))});
  }
  [[nodiscard]] std::size_t questions() const { return table_.questions(); }

  engine::SimEngine engine;

 private:
  resolve::TableResolver table_;

 public:
  resolve::CachingResolver resolver;
};

/// Has PlainToSee in the place of TLS.
class SeeThroughTls final : public protect::TlsClient {
 public:
  [[nodiscard]] std::unique_ptr<protect::Transform> connect(const Host&) const override {
    return std::make_unique<protect::PlainToSee>();
  }
  [[nodiscard]] std::unique_ptr<protect::TlsTransform> look(const Host&) const override { return nullptr; }
};

/// As PlainToSee sends it, in one message.
[[nodiscard]] inline std::string sealed(const std::string& plain) {
  std::string text = octets({static_cast<int>(plain.size() >> 8), static_cast<int>(plain.size() & 0xFF)});
  for (const char octet : plain) text += static_cast<char>(octet ^ protect::PlainToSee::turn);
  return text;
}

[[nodiscard]] inline Hop proxy_at(std::string_view url) {
  return {.url = wire::parse_proxy_url(url).value(),
          .clear_password_allowed = false,
          .tls = std::make_shared<const SeeThroughTls>()};
}

/// An upstream with these servers.
[[nodiscard]] inline std::shared_ptr<const UpstreamPlan> plan_of(const std::string& name,
                                                                 const std::vector<std::string>& urls,
                                                                 config::Upstream settings = {}) {
  auto plan = std::make_shared<UpstreamPlan>();
  settings.name = name;
  for (const std::string& url : urls) {
    plan->hops.push_back(proxy_at(url));
    settings.servers.push_back(plan->hops.back().url);
  }
  plan->settings = settings;
  return plan;
}

/// One proxy at 127.0.0.1:1080, unless a test says where else.
class ProxyTest : public testing::Test {
 protected:
  ScriptedProxy& serve(Script script, std::string_view at = "127.0.0.1:1080") {
    proxy_ = std::make_unique<ScriptedProxy>(rig_.engine, Endpoint::parse(at).value(), std::move(script));
    return *proxy_;
  }
  void TearDown() override {
    if (proxy_) proxy_->close_all();
    (void)rig_.engine.run_until_idle();
    proxy_.reset();
  }

  ClientRig rig_;
  std::unique_ptr<ScriptedProxy> proxy_;
};

[[nodiscard]] inline Target target_of(std::string_view host, std::uint16_t port = 80) {
  return {.host = canonical_host(host).value(), .port = port};
}

}  // namespace stile::route
