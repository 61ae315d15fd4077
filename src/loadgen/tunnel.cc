#include "loadgen/tunnel.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "protect/gss_initiation.h"
#include "route/chain.h"
#include "sys/errno_table.h"
#include "sys/stream_socket.h"

namespace stile::loadgen {

using session::ClientSession;

Tunnel::Tunnel(Course& course, wire::Command command) noexcept : course_(course), command_(command) {
  line_.bind<&Tunnel::on_completion>(this);
}

void Tunnel::open() {
  STILE_ASSERT(!line_.is_open());
  leg_ = course_.way.next();
  granted_ = false;
  unsent_ = {};
  auto fd = sys::begin_stream(leg_.first_hop, leg_.source);
  if (!fd) return fail(fd.error());
  course_.engine.take(line_.socket(), *std::move(fd), engine::EpollEngine::Role::stream);
  if (course_.proxy == nullptr) {
    connecting_ = true;
    return wait(engine::Interest::writable);
  }
  const wire::ProxyUrl& url = course_.proxy->url;
  if (url.protection == wire::ProxyProtection::tls) {
    auto tls = course_.proxy->tls->connect(url.server.host);
    if (tls == nullptr) return fail(Error{ErrorKind::no_memory, 0});
    line_.protect(std::move(tls));
  }
  Target target{.host = leg_.origin.address, .port = leg_.origin.port};
  if (command_ == wire::Command::udp_associate) target = {};
  session_.emplace(
      session::ProxyRequest{.protocol = url.protocol,
                            .command = command_,
                            .target = std::move(target),
                            .by_ticket = url.protection == wire::ProxyProtection::gssapi,
                            .user = url.user ? std::string_view(*url.user) : std::string_view(),
                            .password = url.password ? std::string_view(*url.password) : std::string_view()});
  handle(ClientSession::Connected{});
  if (session_) converse();
}

void Tunnel::close() noexcept {
  session_.reset();
  connecting_ = false;
  line_.close(course_.engine);
}

// ── the conversation ────────────────────────────────────────────────────────────────────────────────────────────────

void Tunnel::on_completion(engine::Status status) {
  if (status == engine::Status::canceled || !line_.is_open()) return;
  if (connecting_) return on_connected();
  if (!session_) return on_ready();
  if (!unsent_.empty()) return converse();
  hear();
}

void Tunnel::on_connected() {
  if (course_.engine.failed(line_.socket())) {
    (void)receive();  // tells why
    return;
  }
  connecting_ = false;
  on_open();
}

void Tunnel::handle(const ClientSession::Event& event) {
  for (const ClientSession::Action& action : session_->handle(event)) {
    std::visit([this](const auto& kind) { perform(kind); }, action);
  }
}

void Tunnel::perform(const ClientSession::Fail&) {
  const session::Advice advice = session::explain(session_->failure());
  fail(advice.why);
}

void Tunnel::perform(const ClientSession::Protect&) {
  if (command_ == wire::Command::udp_associate) return fail("datagrams inside GSSAPI are not measured");
  line_.protect(std::make_unique<protect::GssInitiation>(
      protect::GssInitiator::create(course_.proxy->gss_service, course_.proxy->url.server.host)));
}

/// Sends what is due, then waits for the answer. A protected line shakes hands before the first octet.
void Tunnel::converse() {
  while (!unsent_.empty()) {
    const auto sent = line_.send(course_.engine, unsent_);
    if (!sent && sent.error().kind == ErrorKind::would_block) return wait(engine::Interest::writable);
    if (!sent && protection_failed()) return;
    // A proxy that refused and went may have said why: what it left is read before the failure is.
    unsent_ = sent ? unsent_.subspan(*sent) : ConstBytes();
  }
  wait(engine::Interest::readable);
}

/// True: the tunnel failed for it.
bool Tunnel::protection_failed() {
  if (line_.is_plain() || (line_.transform()->established() && line_.failure() == Reason::none)) return false;
  fail(route::explain({.obstacle = route::Obstacle::protection, .reason = line_.failure()}).why);
  return true;
}

/// Everything that came is received at once, and fed as the session asks for it: nobody speaks behind the reply until
/// the client has.
void Tunnel::hear() {
  const auto received = line_.receive(course_.engine, course_.scratch);
  if (!received && received.error().kind == ErrorKind::would_block) return wait(engine::Interest::readable);
  if (!received && protection_failed()) return;
  if (!received) return handle(ClientSession::ProxyLost{});
  if (*received == 0) return handle(ClientSession::ProxyFin{});
  ConstBytes octets = course_.scratch.first(*received);
  while (session_ && !granted_ && !octets.empty() && unsent_.empty()) {
    const ConstBytes taken = octets.first(std::min(octets.size(), wanted_));
    octets = octets.subspan(taken.size());
    handle(ClientSession::Received{taken});
  }
  if (!session_) return;
  if (!octets.empty()) return fail("the proxy sent octets before they were due");
  if (!granted_) return converse();
  if (command_ == wire::Command::udp_associate) bound_ = session_->bound();
  session_.reset();
  on_open();
}

// ── the stream ──────────────────────────────────────────────────────────────────────────────────────────────────────

bool Tunnel::send(ConstBytes octets, std::size_t& sent) {
  if (octets.empty()) return true;
  const auto count = line_.send(course_.engine, octets);
  if (count) {
    sent += *count;
    return true;
  }
  if (count.error().kind == ErrorKind::would_block) return true;
  fail(count.error());
  return false;
}

std::optional<ConstBytes> Tunnel::receive() {
  const auto count = line_.receive(course_.engine, course_.scratch);
  if (count && *count > 0) return course_.scratch.first(*count);
  if (!count && count.error().kind == ErrorKind::would_block) return ConstBytes();
  if (count) {
    fail("the tunnel was closed early");
  } else {
    fail(count.error());
  }
  return std::nullopt;
}

void Tunnel::fail(std::string_view why) {
  course_.tally.failed(why);
  close();
  on_failed();
}

void Tunnel::fail(const Error& error) {
  fail(sys::describe(error));
}

void Tunnel::found_wrong(std::string_view what) {
  course_.tally.found_wrong(what);
  close();
  on_failed();
}

}  // namespace stile::loadgen
