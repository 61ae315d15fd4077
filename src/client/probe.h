// One run of PING or TRACEROUTE through a proxy: connects (route/chain.h), asks, and shows what the proxy streams,
// line by line, until the stream ends. The lines are those of wire/icmp_text.h; a line of another server is shown as
// text, with everything but printable ASCII escaped, for no octet of a proxy's reaches a terminal as it came.
// Refuses: lines beyond limits::icmp_line_octets_max; to wait for a proxy that says nothing, or that does not end when
// it is asked to.
// Threading: one engine's thread. Tested in probe_test.cc on the simulation, each call failing in turn.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/limits.h"
#include "engine/engine.h"
#include "protect/line.h"
#include "route/chain.h"
#include "session/proxy_failure.h"
#include "wire/icmp_text.h"
#include "wire/socks5.h"

namespace stile::client {

/// Flags of PING and TRACEROUTE, in the request's RSV (protocol reference, section 9.2).
inline constexpr std::uint8_t probe_no_names = wire::probe_without_names;
inline constexpr std::uint8_t probe_verbose = wire::probe_verbose;
inline constexpr std::uint8_t probe_each_hop_once = wire::probe_each_hop_once;

struct ProbeOptions {
  bool trace = false;
  Host target;
  std::uint8_t flags = 0;
  std::uint32_t count = 0;  // PING: ask for the end after so many answers, timeouts and errors; 0: never
};

/// Whom a run tells. False: it cannot be told anything more, and the run ends.
class ProbeShow {
 public:
  virtual ~ProbeShow() = default;
  ProbeShow(const ProbeShow&) = delete;
  ProbeShow& operator=(const ProbeShow&) = delete;

  /// The proxy at `proxy` granted, with `bound` in its reply.
  [[nodiscard]] virtual bool granted(const Endpoint& proxy, const wire::AddressField& bound) = 0;
  [[nodiscard]] virtual bool line(const wire::IcmpLine& line) = 0;
  /// A line that is none of Stile's, printable ASCII.
  [[nodiscard]] virtual bool text(std::string_view line) = 0;

 protected:
  ProbeShow() noexcept = default;
};

struct ProbeResult {
  bool succeeded = false;   // PING: at least one answer came. TRACEROUTE: the target was reached
  session::Advice trouble;  // why the run did not end in order; `why` is empty where it did
};

class Probe {
 public:
  /// The last of `hops` is asked (bounds as of route::Chain). They, `engine`, `resolver` and `show` outlive the run.
  Probe(engine::Engine& engine, resolve::Resolver& resolver, std::span<const route::Hop* const> hops,
        const ProbeOptions& options, ProbeShow& show);
  Probe(engine::Engine& engine, resolve::Resolver& resolver, const route::Hop& proxy, const ProbeOptions& options,
        ProbeShow& show);
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  /// Not while pending (asserted).
  ~Probe();

  /// `probe.bind<&Owner::on_ended>(this)`, with `void on_ended(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// Exactly one completion follows, never inline.
  void start();
  /// Asks the proxy for its last lines and the end; before it granted, and the second time: ends at once.
  void interrupt();
  [[nodiscard]] bool pending() const noexcept { return running_ || done_.pending(); }

  /// After completion.
  [[nodiscard]] const ProbeResult& result() const noexcept { return result_; }
  /// And of the connection, whose trouble `result` tells in words.
  [[nodiscard]] const route::Trouble& connection() const noexcept { return connection_.trouble(); }

 private:
  enum class Step : std::uint8_t { connecting, streaming, leaving, ended };

  void on_connected(engine::Status status);
  void on_ready(engine::Status status);
  void on_deadline(engine::Status status);

  void ask_for_the_end();
  void send_end();
  void wait();
  void receive();
  void read_lines();
  [[nodiscard]] bool show_text(ConstBytes line);
  [[nodiscard]] bool show_line(const wire::IcmpLine& line);
  void on_fin();
  void finish(const session::Advice& trouble);
  void complete_when_quiet() noexcept;

  engine::Engine& engine_;
  ProbeOptions options_;
  ProbeShow& show_;
  engine::Operation done_;
  engine::Timer deadline_;  // of the proxy's silence; later of its farewell
  protect::Line line_;
  route::Chain connection_;
  // One octet more than the longest line, so that the decoder sees a line that is too long.
  std::array<std::uint8_t, limits::icmp_line_octets_max + 1> held_{};
  std::size_t held_size_ = 0;
  std::uint32_t events_ = 0;
  Step step_ = Step::connecting;
  bool end_unsent_ = false;
  bool complete_ = false;  // the proxy told how it ended
  ProbeResult result_;
  bool running_ = false;
};

}  // namespace stile::client
