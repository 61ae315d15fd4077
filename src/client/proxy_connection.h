// One connection through a proxy: finds the proxy, dials it, holds the conversation (session/client_session.h) and
// hands over the stream, with not one octet of it read.
//
// Names: the proxy's own is resolved here. The target's is resolved here for socks4 and socks5, and then the first
// address that the protocol can carry is asked for; for socks4a, socks5h and http it goes to the proxy as it is and is
// never resolved here instead (protocol reference, section 10; threat TP1). Where the proxy's address says so, all of
// it is inside TLS, for which the proxy has to prove the name by which the address calls it (threat TT2), or protected
// by a Kerberos ticket (RFC 1961), without which nothing is asked for. Refuses: to send a password in clear to a proxy
// that is not on this host, unless told so (threat TA8); BIND, which has two replies. Threading: one engine's thread.
// Tested in proxy_connection_test.cc on the simulation, each call failing in turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "protect/line.h"
#include "protect/tls.h"
#include "resolve/resolver.h"
#include "route/dial.h"
#include "session/client_session.h"
#include "wire/proxy_url.h"

namespace stile::client {

struct Proxy {
  wire::ProxyUrl url;
  bool clear_password_allowed = false;                      // over a network that others may read
  std::shared_ptr<const protect::TlsClient> tls = nullptr;  // whom to trust; where the URL asks for TLS (asserted)
  std::string gss_service = "rcmd";                         // what the proxy is to Kerberos
};

/// What to ask it for. Any command but BIND (asserted).
struct Ask {
  wire::Command command = wire::Command::connect;
  Target target;
  std::uint8_t flags = 0;  // SOCKS5 RSV
};

struct ConnectionLimits {
  route::DialLimits dial;
  Duration conversation = limits::proxy_conversation;  // from the connection to the reply
};

/// What did not work.
enum class Obstacle : std::uint8_t {
  none,
  proxy_name,      // the proxy's name leads nowhere: `reason`
  target_name,     // the target's does, where it is resolved here: `reason`
  target_family,   // SOCKS4 cannot carry the target's address
  login_half,      // SOCKS5 or HTTP with a user but no password
  clear_password,  // it would cross the network in clear
  dial,            // the proxy cannot be reached: `reason`
  protection,      // it was reached, and TLS came to nothing: `reason`; none: it closed the connection instead
  conversation,    // it was reached, and did not grant: `failure`
  canceled,
};

struct Trouble {
  Obstacle obstacle = Obstacle::none;
  Reason reason = Reason::none;
  session::ProxyFailure failure;
};

/// Why, and what to do: for "what failed: why (what to do)".
[[nodiscard]] session::Advice explain(const Trouble& trouble);

/// Owned by the caller, in place until its completion. Used once.
class ProxyConnection {
 public:
  /// `engine`, `resolver` and `proxy` outlive the connection.
  ProxyConnection(engine::Engine& engine, resolve::Resolver& resolver, const Proxy& proxy, const Ask& ask,
                  const ConnectionLimits& limits = {});
  ProxyConnection(const ProxyConnection&) = delete;
  ProxyConnection& operator=(const ProxyConnection&) = delete;
  /// Closes a stream that nobody took. Not while pending (asserted).
  ~ProxyConnection();

  /// `connection.bind<&Owner::on_connected>(this)`, with `void on_connected(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// Exactly one completion follows, never inline.
  void start();
  /// Gives up; the completion comes with Obstacle::canceled, also where the proxy has just granted. A no-op when
  /// nothing is pending.
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept { return running_ || done_.pending(); }

  /// After completion. Obstacle::none: granted.
  [[nodiscard]] const Trouble& trouble() const noexcept { return trouble_; }
  /// After success: BND of the reply.
  [[nodiscard]] const wire::AddressField& bound() const noexcept { return session_->bound(); }
  /// The proxy's address that was reached; unspecified before.
  [[nodiscard]] const Endpoint& peer() const noexcept { return peer_; }
  /// After success, once: hands over the stream, with what protects it. `into` must be closed.
  void take(protect::Line& into) noexcept;

 private:
  enum class Step : std::uint8_t { proxy_name, target_name, dialling, talking, ended };

  void on_resolved(engine::Status status);
  void on_dialled(engine::Status status);
  void on_ready(engine::Status status);
  void on_deadline(engine::Status status);

  void proxy_found(std::span<const Address> addresses);
  void target_found(std::span<const Address> addresses);
  void dial();

  void drive(session::ClientSession::Event event);
  void perform(const session::ClientSession::Send& action);
  void perform(const session::ClientSession::Read& action);
  void perform(const session::ClientSession::Protect& action);
  void perform(const session::ClientSession::AwaitPeer& action);
  void perform(const session::ClientSession::Finish& action);
  void perform(const session::ClientSession::Fail& action);
  void exchange();
  void receive();
  [[nodiscard]] bool protection_failed() const noexcept;

  void finish(const Trouble& trouble) noexcept;
  void complete_when_quiet() noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  const Proxy& proxy_;
  Ask ask_;
  ConnectionLimits limits_;
  engine::Operation done_;
  engine::Timer deadline_;
  protect::Line line_;
  resolve::Lookup lookup_;
  route::Dial dial_;
  std::optional<session::ClientSession> session_;
  std::vector<Endpoint> candidates_;
  Endpoint peer_;
  ConstBytes unsent_;        // in the session's own buffer
  std::size_t reading_ = 0;  // octets to receive at most, once all is sent
  Step step_ = Step::proxy_name;
  Trouble trouble_;
  bool running_ = false;
};

}  // namespace stile::client
