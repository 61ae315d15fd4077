// The operations of a client, one class each; see operation.h. What they ask for goes through the plan's chain, but
// where its no_proxy names the target of a connection or the name of a lookup.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "client/direct.h"
#include "client/operation.h"
#include "client/plan.h"
#include "client/probe.h"
#include "protect/line.h"
#include "resolve/resolver.h"
#include "route/chain.h"

namespace stile::client {

/// What every operation stands on; outlives it.
struct Ground {
  engine::Engine& engine;
  resolve::Resolver& resolver;
  OperationOwner& owner;
  const Plan& plan;
};

/// CONNECT.
class ConnectOperation final : public Operation {
 public:
  ConnectOperation(const Ground& ground, const Target& target);
  /// After success, once.
  void take(protect::Line& into) noexcept;

 private:
  void begin() override;
  void give_up() noexcept override;
  void on_connected(engine::Status);
  void on_connected_directly(engine::Status);

  const Ground ground_;
  Target target_;
  std::optional<route::Chain> chain_;
  std::optional<Direct> direct_;
};

/// One BIND: what several operations are about, one after the other.
class Listening {
 public:
  Listening(const Ground& ground, const Target& from);
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

  /// Whom to tell of the next completion; nullptr: nobody.
  class Waiter {
   public:
    virtual void listening_changed() noexcept = 0;

   protected:
    ~Waiter() = default;
  };
  void tell(Waiter* waiter) noexcept { waiter_ = waiter; }
  [[nodiscard]] bool is_waited_for() const noexcept { return waiter_ != nullptr; }

  void start() { chain_.start(); }
  /// After `listens`, once: waits for the peer.
  void await_peer();
  void cancel() noexcept { chain_.cancel(); }
  [[nodiscard]] bool pending() const noexcept { return chain_.pending(); }

  [[nodiscard]] bool listens() const noexcept { return chain_.awaits_peer() && !chain_.pending(); }
  [[nodiscard]] bool awaits() const noexcept { return awaits_; }
  [[nodiscard]] Failure failure() const { return failure_of(chain_.trouble(), ground_.plan.hops()); }
  /// Where peers connect; absent where the proxy did not say it as an address.
  [[nodiscard]] const std::optional<Endpoint>& place() const noexcept { return place_; }
  /// Of the connection that came.
  [[nodiscard]] std::optional<Endpoint> peer() const;
  void take(protect::Line& into) noexcept;
  [[nodiscard]] bool taken() const noexcept { return taken_; }
  [[nodiscard]] OperationOwner& owner() const noexcept { return ground_.owner; }

 private:
  void on_changed(engine::Status);

  const Ground ground_;
  route::Chain chain_;
  std::optional<Endpoint> place_;
  Waiter* waiter_ = nullptr;
  bool awaits_ = false;
  bool taken_ = false;
};

class ListenOperation final : public Operation, private Listening::Waiter {
 public:
  ListenOperation(const Ground& ground, const Target& from);
  /// After success, once.
  [[nodiscard]] std::shared_ptr<Listening> take() noexcept { return std::move(listening_); }

 private:
  void begin() override;
  void give_up() noexcept override { listening_->cancel(); }
  void listening_changed() noexcept override;

  std::shared_ptr<Listening> listening_;
};

/// One that is cancelled, or late, leaves the listening as it is.
class AcceptOperation final : public Operation, private Listening::Waiter {
 public:
  /// `listening` has no other.
  AcceptOperation(const Ground& ground, std::shared_ptr<Listening> listening);
  [[nodiscard]] Listening& listening() noexcept { return *listening_; }

 private:
  void begin() override;
  void give_up() noexcept override;
  void listening_changed() noexcept override;
  void on_ready(engine::Status);

  std::shared_ptr<Listening> listening_;
  engine::Operation ready_;  // there was nothing to wait for
  bool given_up_ = false;
};

/// RESOLVE or RESOLVE_PTR.
class ResolveOperation final : public Operation {
 public:
  /// A name is asked for an address, an address for its name.
  ResolveOperation(const Ground& ground, const Host& subject);
  /// After success.
  [[nodiscard]] const Host& answer() const noexcept { return answer_; }
  [[nodiscard]] bool asks_for_name() const noexcept { return std::holds_alternative<Address>(subject_); }

 private:
  void begin() override;
  void give_up() noexcept override;
  void on_answer(engine::Status);
  void on_looked_up(engine::Status);

  const Ground ground_;
  Host subject_;
  Host answer_;
  std::optional<route::Chain> chain_;
  resolve::Lookup lookup_;
};

/// UDP ASSOCIATE at every proxy of the chain, each reached through those before it: each carries the datagrams for the
/// next, so that none goes around one.
class AssociateOperation final : public Operation {
 public:
  explicit AssociateOperation(const Ground& ground);
  ~AssociateOperation() override;

  /// Of each proxy, the nearest first, after success: the stream that keeps the association, and where the relay takes
  /// datagrams; of the nearest it is an address.
  [[nodiscard]] std::size_t size() const noexcept { return ways_.size(); }
  void take(std::size_t hop, protect::Line& into) noexcept { ways_[hop]->take(into); }
  [[nodiscard]] const Target& relay(std::size_t hop) const noexcept { return relays_[hop]; }

 private:
  void begin() override;
  void give_up() noexcept override;
  void on_associated(engine::Status);
  [[nodiscard]] std::optional<Failure> unfit() const;
  [[nodiscard]] std::optional<Failure> place_relay(const route::Chain& way);

  const Ground ground_;
  std::vector<std::unique_ptr<route::Chain>> ways_;  // to the first proxy, to the second, …
  std::vector<Target> relays_;
  engine::Operation unfit_;
  bool given_up_ = false;
};

/// PING.
class PingOperation final : public Operation, private ProbeShow {
 public:
  PingOperation(const Ground& ground, const Host& target, std::uint32_t count);
  /// After success: one an event, at most `count`.
  [[nodiscard]] const std::vector<stile_echo>& echoes() const noexcept { return echoes_; }
  /// How long one may take, where a connection may take `timeout`.
  [[nodiscard]] static Duration limit(Duration timeout, std::uint32_t count) noexcept;

 private:
  void begin() override { probe_.start(); }
  void give_up() noexcept override;
  void on_ended(engine::Status);
  bool granted(const Endpoint& proxy, const wire::AddressField& bound) override;
  bool line(const wire::IcmpLine& line) override;
  bool text(std::string_view line) override;

  const Ground ground_;
  std::uint32_t count_;
  std::vector<stile_echo> echoes_;
  Probe probe_;
  bool given_up_ = false;
};

}  // namespace stile::client
