#include "client/proxy_connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "protect/gss_initiation.h"

namespace stile::client {
namespace {

using session::Advice;
using session::ClientSession;

bool is_on_this_host(const Address& address) noexcept {
  static const auto ipv4 = Cidr::parse("127.0.0.0/8");
  static const auto ipv6 = Cidr::parse("::1");
  return ipv4->contains(address) || ipv6->contains(address);
}

Advice name_advice(std::string_view whose, Reason reason) {
  switch (reason) {
    case Reason::dns_not_found:
      return {std::string(whose) + " name does not exist", "check how it is spelt"};
    case Reason::dns_reserved:
      return {std::string(whose) + " name is reserved and never looked up here", "use socks5h, if the proxy knows it"};
    default:
      return {std::string(whose) + " name could not be looked up", "check this host's resolver"};
  }
}

Advice protection_advice(Reason reason) {
  switch (reason) {
    case Reason::none:
      return {"it closed the connection where TLS was due", "check that it speaks TLS at this port"};
    case Reason::tls_missing:
      return {"the proxy does not speak TLS there", "check its port, or use the scheme without TLS"};
    case Reason::tls_version:
      return {"it speaks no version of TLS from 1.2 on", "have it brought up to date"};
    case Reason::tls_certificate_untrusted:
      return {"its certificate leads to no CA that counts here", "add --ca FILE with the CA that signed it"};
    case Reason::tls_certificate_expired:
      return {"its certificate is not valid today", "have it renewed, or check this host's clock"};
    case Reason::tls_certificate_name:
      return {"its certificate does not bear the name or address that was dialled",
              "name the proxy as its certificate does"};
    case Reason::tls_certificate_missing:
      return {"it lets only clients with a certificate in", "add --certificate FILE and --key FILE"};
    case Reason::tls_certificate_refused:
      return {"it does not take the certificate of --certificate", "show a valid one of a CA that it trusts"};
    case Reason::gss_ticket:
      return {"there is no Kerberos ticket for it",
              "run kinit, and see with klist; --gss-service says what it is called"};
    case Reason::gss_accept:
      return {"it does not take the Kerberos ticket, or does not prove itself", "its log may tell more"};
    case Reason::gss_level:
      return {"it does not encrypt what passes", "have it grant level 2 of RFC 1961"};
    case Reason::gss_token:
    case Reason::gss_order:
    case Reason::gss_version:
      return {"what it says is not RFC 1961, or was changed on the way", "check who is at its address"};
    case Reason::no_resources:
      return {"this process has no memory left", "raise its limits"};
    default:
      return {"the TLS handshake with it failed", "its log may tell more"};
  }
}

Advice dial_advice(Reason reason) {
  switch (reason) {
    case Reason::dial_refused:
      return {"nobody listens there", "start the proxy, or check its host and port"};
    case Reason::dial_network_unreachable:
      return {"there is no route to it", "check this host's network"};
    case Reason::dial_host_unreachable:
      return {"its host does not answer", "check the proxy's host"};
    case Reason::dial_timeout:
      return {"it did not answer in time", "check the proxy's host and the firewalls between"};
    case Reason::dial_ttl_expired:
      return {"the packets went in circles", "check the routes"};
    case Reason::dial_forbidden:
      return {"this host's own rules forbid it", "check its firewall"};
    case Reason::dial_family_off:
      return {"this host does not speak its address family", ""};
    case Reason::dial_no_ports:
      return {"this host has no free port", "try again"};
    case Reason::no_resources:
      return {"this process has no descriptors or memory left", "raise its limits"};
    default:
      return {"the connection failed", "try again"};
  }
}

}  // namespace

Advice explain(const Trouble& trouble) {
  switch (trouble.obstacle) {
    case Obstacle::none:
      return {};
    case Obstacle::proxy_name:
      return name_advice("the proxy's", trouble.reason);
    case Obstacle::target_name:
      return name_advice("the target's", trouble.reason);
    case Obstacle::target_family:
      return {"SOCKS4 carries IPv4 addresses only", "use socks4a, socks5 or socks5h"};
    case Obstacle::login_half:
      return {"the proxy's user has no password", "write USER:PASSWORD@, or add --password-file"};
    case Obstacle::clear_password:
      return {"the password would cross the network in clear", "add --clear-password where nobody else can read along"};
    case Obstacle::dial:
      return dial_advice(trouble.reason);
    case Obstacle::protection:
      return protection_advice(trouble.reason);
    case Obstacle::conversation:
      return session::explain(trouble.failure);
    case Obstacle::canceled:
      return {"it was interrupted", ""};
  }
  return {};
}

ProxyConnection::ProxyConnection(engine::Engine& engine, resolve::Resolver& resolver, const Proxy& proxy,
                                 const Ask& ask, const ConnectionLimits& limits)
    : engine_(engine), resolver_(resolver), proxy_(proxy), ask_(ask), limits_(limits), dial_(engine) {
  STILE_ASSERT(ask.command != wire::Command::bind);
  STILE_ASSERT(proxy.tls != nullptr || proxy.url.protection != wire::ProxyProtection::tls);
  deadline_.bind<&ProxyConnection::on_deadline>(this);
  line_.bind<&ProxyConnection::on_ready>(this);
  lookup_.bind<&ProxyConnection::on_resolved>(this);
  dial_.bind<&ProxyConnection::on_dialled>(this);
}

ProxyConnection::~ProxyConnection() {
  STILE_ASSERT(!pending());
  line_.close(engine_);
}

void ProxyConnection::start() {
  STILE_ASSERT(!running_ && step_ == Step::proxy_name);
  running_ = true;
  const wire::ProxyUrl& url = proxy_.url;
  if (url.protocol != wire::ProxyProtocol::socks4 && url.user && !url.password) {
    return finish({.obstacle = Obstacle::login_half});
  }
  if (const HostName* const name = url.server.host_name()) return resolver_.resolve(lookup_, *name);
  proxy_found({url.server.address(), 1});
}

void ProxyConnection::cancel() noexcept {
  if (!pending()) return;
  finish({.obstacle = Obstacle::canceled});
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

void ProxyConnection::on_resolved(engine::Status) {
  if (step_ == Step::ended) return complete_when_quiet();
  const resolve::Answer& answer = lookup_.answer();
  if (step_ == Step::proxy_name) {
    if (answer.addresses.empty()) return finish({.obstacle = Obstacle::proxy_name, .reason = answer.reason});
    return proxy_found(answer.addresses);
  }
  if (answer.addresses.empty()) return finish({.obstacle = Obstacle::target_name, .reason = answer.reason});
  target_found(answer.addresses);
}

void ProxyConnection::proxy_found(std::span<const Address> addresses) {
  const bool afar = !std::ranges::all_of(addresses, is_on_this_host);
  const bool in_clear = proxy_.url.protection == wire::ProxyProtection::none;
  if (proxy_.url.password && in_clear && afar && !proxy_.clear_password_allowed) {
    return finish({.obstacle = Obstacle::clear_password});
  }
  for (const Address& address : addresses) candidates_.push_back({address, proxy_.url.server.port});
  step_ = Step::target_name;
  if (proxy_.url.resolves_names) return dial();
  if (const HostName* const name = ask_.target.host_name()) return resolver_.resolve(lookup_, *name);
  const Address literal = *ask_.target.address();
  target_found({&literal, 1});
}

void ProxyConnection::target_found(std::span<const Address> addresses) {
  const bool any_family = proxy_.url.protocol != wire::ProxyProtocol::socks4;
  const auto fits = std::ranges::find_if(addresses, [&](const Address& one) { return any_family || one.is_v4(); });
  if (fits == addresses.end()) return finish({.obstacle = Obstacle::target_family});
  ask_.target.host = Address(*fits);
  dial();
}

// ── the connection ──────────────────────────────────────────────────────────────────────────────────────────────────

void ProxyConnection::dial() {
  step_ = Step::dialling;
  dial_.start(candidates_, limits_.dial);
}

void ProxyConnection::on_dialled(engine::Status) {
  if (step_ == Step::ended) return complete_when_quiet();
  peer_ = dial_.peer();
  if (dial_.reason() != Reason::none) return finish({.obstacle = Obstacle::dial, .reason = dial_.reason()});
  dial_.take(line_.socket());
  const wire::ProxyUrl& url = proxy_.url;
  if (url.protection == wire::ProxyProtection::tls) {
    auto tls = proxy_.tls->connect(url.server.host);
    if (tls == nullptr) return finish({.obstacle = Obstacle::protection, .reason = Reason::no_resources});
    line_.protect(std::move(tls));
  }
  step_ = Step::talking;
  engine_.start_timer(deadline_, engine_.now() + limits_.conversation);
  session_.emplace(
      session::ProxyRequest{.protocol = url.protocol,
                            .command = ask_.command,
                            .target = ask_.target,
                            .flags = ask_.flags,
                            .by_ticket = url.protection == wire::ProxyProtection::gssapi,
                            .user = url.user ? std::string_view(*url.user) : std::string_view(),
                            .password = url.password ? std::string_view(*url.password) : std::string_view()});
  drive(ClientSession::Connected{});
}

// ── events in, actions out ──────────────────────────────────────────────────────────────────────────────────────────

void ProxyConnection::drive(ClientSession::Event event) {
  for (const ClientSession::Action& action : session_->handle(event)) {
    std::visit([this](const auto& kind) { perform(kind); }, action);
  }
  if (step_ == Step::talking) exchange();
}

void ProxyConnection::perform(const ClientSession::Send& action) {
  unsent_ = action.octets;
}

void ProxyConnection::perform(const ClientSession::Read& action) {
  reading_ = action.octets_max;
}

void ProxyConnection::perform(const ClientSession::Protect&) {
  line_.protect(std::make_unique<protect::GssInitiation>(
      protect::GssInitiator::create(proxy_.gss_service, proxy_.url.server.host)));
}

void ProxyConnection::perform(const ClientSession::AwaitPeer&) {
  STILE_ASSERT(false);  // only BIND leads here
}

void ProxyConnection::perform(const ClientSession::Finish&) {
  finish({});
}

void ProxyConnection::perform(const ClientSession::Fail&) {
  finish({.obstacle = Obstacle::conversation, .failure = session_->failure()});
}

/// Sends what is due, then waits for the answer. A protected line shakes hands before the first octet.
void ProxyConnection::exchange() {
  while (!unsent_.empty()) {
    const auto sent = line_.send(engine_, unsent_);
    if (!sent && sent.error().kind == ErrorKind::would_block) return line_.wait(engine_, engine::Interest::writable);
    if (!sent && protection_failed()) return finish({.obstacle = Obstacle::protection, .reason = line_.failure()});
    // A proxy that refused and went may have said why: what it left is read before the failure is.
    unsent_ = sent ? unsent_.subspan(*sent) : ConstBytes();
  }
  line_.wait(engine_, engine::Interest::readable);
}

/// A stream that is cut short is no fault of its protection: it is told as a proxy that went.
bool ProxyConnection::protection_failed() const noexcept {
  if (line_.is_plain()) return false;
  const Reason failure = line_.failure();
  return !line_.transform()->established() || (failure != Reason::none && failure != Reason::tls_truncated);
}

void ProxyConnection::on_ready(engine::Status) {
  if (step_ == Step::ended) return complete_when_quiet();
  if (!unsent_.empty()) return exchange();
  receive();
}

void ProxyConnection::receive() {
  std::array<std::uint8_t, wire::reply_octets_max> buffer;
  const MutableBytes room = MutableBytes(buffer).first(std::min(buffer.size(), reading_));
  const auto received = line_.receive(engine_, room);
  if (!received && received.error().kind == ErrorKind::would_block) {
    return line_.wait(engine_, engine::Interest::readable);
  }
  if (!received && protection_failed()) return finish({.obstacle = Obstacle::protection, .reason = line_.failure()});
  const bool cut_short = !received && line_.failure() == Reason::tls_truncated;
  if (!received && !cut_short) return drive(ClientSession::ProxyLost{});
  if (cut_short || *received == 0) return drive(ClientSession::ProxyFin{});
  drive(ClientSession::Received{room.first(*received)});
}

void ProxyConnection::on_deadline(engine::Status status) {
  if (step_ == Step::ended) return complete_when_quiet();
  if (status == engine::Status::done) drive(ClientSession::DeadlinePassed{});
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void ProxyConnection::finish(const Trouble& trouble) noexcept {
  trouble_ = trouble;
  step_ = Step::ended;
  resolver_.cancel(lookup_);
  dial_.cancel();
  engine_.cancel(deadline_);
  if (trouble.obstacle != Obstacle::none) line_.close(engine_);
  complete_when_quiet();
}

/// The records of all operations live in this object, so that it may not go before the last of them has completed.
void ProxyConnection::complete_when_quiet() noexcept {
  if (!running_ || lookup_.pending() || dial_.pending() || deadline_.pending() || line_.pending()) return;
  running_ = false;
  engine_.post(done_);
}

void ProxyConnection::take(protect::Line& into) noexcept {
  STILE_ASSERT(!pending() && trouble_.obstacle == Obstacle::none && step_ == Step::ended);
  into.take(engine_, line_);
}

}  // namespace stile::client
