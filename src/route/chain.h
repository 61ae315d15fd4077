// One connection through one proxy or several: dials the first (approach.h), holds the conversation with it
// (session/client_session.h), has it connect to the second, and so on; the last is asked for what is wanted. Then it
// hands over the stream, with not one octet of it read.
//
// Names: what a proxy is asked for, the next one or the target, is resolved
// here for socks4, socks5 and proxy-protocol, and then the first address that the protocol can carry is asked for; for
// socks4a, socks5h and http it goes to the proxy as it is and is never resolved here instead (protocol reference,
// section 10; threat TP1). Where a proxy's address says so, the conversation with it is inside TLS, for which it has to
// prove the name by which the address calls it (threat TT2), or protected by a Kerberos ticket (RFC 1961), without
// which nothing is asked for; one protection lies inside the other along the chain.
// Refuses: to send a password in clear to a proxy that is not on this host, unless told so (threat TA8).
// Threading: one engine's thread. Tested in chain_test.cc on the simulation, each call failing in turn.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "protect/line.h"
#include "protect/tls.h"
#include "resolve/resolver.h"
#include "route/approach.h"
#include "route/dial.h"
#include "route/trouble.h"
#include "session/client_session.h"
#include "wire/proxy_protocol.h"
#include "wire/proxy_url.h"

namespace stile::route {

/// Is told, while a chain is under way, how fast each hop did its own part.
class ChainWatch {
 public:
  virtual ~ChainWatch() = default;
  ChainWatch(const ChainWatch&) = delete;
  ChainWatch& operator=(const ChainWatch&) = delete;
  /// It let us in (SOCKS5), or granted what it was asked for; so long after the stream led to it. Once a hop.
  virtual void hop_met(std::size_t hop, Duration latency) noexcept = 0;

 protected:
  ChainWatch() noexcept = default;
};

/// What to ask the last one for.
struct Ask {
  wire::Command command = wire::Command::connect;
  Target target;
  std::uint8_t flags = 0;               // SOCKS5 RSV
  std::optional<Endpoint> client = {};  // whom PROXY headers name; absent: this end of the connection
  wire::ProxyTlvs tlvs = {};            // and what they tell besides; the texts live as long as the chain
  EgressSettings egress = {};           // where the connection to the first one leaves this host
  bool only_meets = false;              // nothing: a SOCKS5 proxy is logged in at, and left; others are dialled
};

struct ChainLimits {
  DialLimits dial;
  Duration greeting = limits::proxy_conversation;      // from the connection to a hop until it lets us in
  Duration conversation = limits::proxy_conversation;  // from there to its reply
};

/// Owned by the caller, in place until its completion. Used once.
class Chain {
 public:
  /// All of `hops`, at least one and at most limits::chain_hops_max, outlive the chain, as `engine` and `resolver` do.
  Chain(engine::Engine& engine, resolve::Resolver& resolver, std::span<const Hop* const> hops, const Ask& ask,
        const ChainLimits& limits = {});
  Chain(engine::Engine& engine, resolve::Resolver& resolver, const Hop& hop, const Ask& ask,
        const ChainLimits& limits = {});
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;
  /// Closes a stream that nobody took. Not while pending (asserted).
  ~Chain();

  /// `chain.bind<&Owner::on_connected>(this)`, with `void on_connected(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// Whom to tell; outlives the chain.
  void watch(ChainWatch& watch) noexcept { watch_ = &watch; }
  /// Exactly one completion follows, never inline. Of BIND: when the proxy listens.
  void start();
  /// The same over the connection of an approach to the first of the hops, which has ended without trouble.
  void start(Approach& met);
  /// After the completion of BIND without trouble, once: waits for the peer, with another completion.
  void await_peer(Duration limit);
  [[nodiscard]] bool awaits_peer() const noexcept { return step_ == Step::listening; }
  /// Gives up; the completion comes with Obstacle::canceled, also where the proxy has just granted. A no-op when
  /// nothing is pending.
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept { return running_ || done_.pending(); }

  /// After completion. Obstacle::none: granted.
  [[nodiscard]] const Trouble& trouble() const noexcept { return trouble_; }
  [[nodiscard]] std::size_t hops() const noexcept { return hop_count_; }
  /// After success: what this hop was asked for, a name that is resolved here by its address.
  [[nodiscard]] const Target& asked(std::size_t hop) const noexcept { return asked_[hop]; }
  /// After success: BND of the last proxy's reply; nothing where it has none to give.
  [[nodiscard]] const wire::AddressField& bound() const noexcept { return bound_; }
  /// The first proxy's address that was reached; unspecified before.
  [[nodiscard]] const Endpoint& peer() const noexcept { return peer_; }
  /// After success, once: hands over the stream, with what protects it. `into` must be closed.
  void take(protect::Line& into) noexcept;

 private:
  enum class Step : std::uint8_t { names, dialling, talking, listening, ended };

  void on_resolved(engine::Status status);
  void on_approached(engine::Status status);
  void on_ready(engine::Status status);
  void on_deadline(engine::Status status);

  [[nodiscard]] const Hop& hop(std::size_t index) const noexcept { return *hops_[index]; }
  [[nodiscard]] bool is_last() const noexcept { return hop_ + 1 == hop_count_; }
  [[nodiscard]] Obstacle unfit(const Hop& hop, bool first) const noexcept;
  [[nodiscard]] bool prepare();
  void next_name();
  void target_found(std::span<const Address> addresses);

  void meet();
  void announce();
  void send_header();
  void introduced();
  void lacks_command() noexcept;
  void converse();
  void let_in();
  void hop_granted();
  void drive(session::ClientSession::Event event);
  void perform(const session::ClientSession::Send& action);
  void perform(const session::ClientSession::Read& action);
  void perform(const session::ClientSession::Protect& action);
  void perform(const session::ClientSession::AwaitPeer& action);
  void perform(const session::ClientSession::Finish& action);
  void perform(const session::ClientSession::Fail& action);
  void go_on();
  void show_ticket();
  void ticket_unanswered() noexcept;
  void exchange();
  void receive();
  [[nodiscard]] bool protection_failed() const noexcept;

  void fail(Obstacle obstacle, Reason reason = Reason::none) noexcept;
  void finish(const Trouble& trouble) noexcept;
  void complete_when_quiet() noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  std::array<const Hop*, limits::chain_hops_max> hops_{};
  std::size_t hop_count_ = 0;
  std::size_t hop_ = 0;  // whose names are resolved, or with whom we talk
  Ask ask_;
  ChainLimits limits_;
  engine::Operation done_;
  engine::Timer deadline_;
  protect::Line line_;
  resolve::Lookup lookup_;
  Approach approach_;
  std::vector<Target> asked_;  // what each hop is asked for
  std::optional<session::ClientSession> session_;
  Endpoint peer_;
  wire::AddressField bound_;
  Instant reached_{};  // the hop in hand
  ChainWatch* watch_ = nullptr;
  std::vector<std::uint8_t> header_;  // the PROXY header for the hop in hand
  ConstBytes unsent_;                 // of it, or of what the session has to say
  std::size_t reading_ = 0;           // octets to receive at most, once all is sent
  Step step_ = Step::names;
  Trouble trouble_;
  bool announcing_ = false;    // the header of the hop in hand is not sent yet
  bool shows_ticket_ = false;  // the hop in hand has not answered our ticket yet
  bool in_ = false;            // the hop in hand let us in
  bool asked_for_it_ = false;  // its reply to the request is what is awaited
  bool granted_ = false;       // and came
  bool running_ = false;
};

}  // namespace stile::route
