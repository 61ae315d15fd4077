// Simulated TCP: listeners, connections, and the octets between them.
#include <algorithm>
#include <cerrno>

#include "engine/sim/sim_engine.h"
#include "engine/socket_state.h"
#include "sys/errno_table.h"

namespace stile::engine {
namespace {

constexpr Duration syn_retry = std::chrono::seconds{1};

std::unexpected<Error> os_error(int errno_value) noexcept {
  return std::unexpected(sys::make_error(errno_value));
}

}  // namespace

SimEngine::View SimEngine::view(const sim::Node& of) {
  STILE_ASSERT(of.kind == sim::Node::Kind::stream);
  sim::Connection& connection = connections_.at(of.connection);
  return View{connection, connection.sides[of.side], connection.sides[1 - of.side]};
}

sim::Connection* SimEngine::find(sim::ConnectionId id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : &found->second;
}

std::size_t SimEngine::room(const sim::Side& to) const noexcept {
  const std::size_t held = to.unread.size() + to.under_way;
  return held >= faults_.stream_octets_max ? 0 : faults_.stream_octets_max - held;
}

// ── listening and accepting ─────────────────────────────────────────────────────────────────────────────────────────

Result<void> SimEngine::listen(Socket& listener, const Endpoint& local, const ListenOptions& options) {
  if (const auto error = injected()) return std::unexpected(*error);
  if (!room_for(1)) return os_error(EMFILE);
  if (const auto fault = egress_fault(options.egress)) return std::unexpected(*fault);
  Endpoint bound = local;
  if (bound.port == 0) {
    const auto port = free_port(bound.address, tcp_in_use_);
    if (!port) return os_error(EADDRINUSE);
    bound.port = *port;
  }
  std::vector<int>& others = listeners_[bound];
  if (!others.empty() && !options.reuse_port) return os_error(EADDRINUSE);
  const int handle = open_node(sim::Node::Kind::listener, &listener);
  node(listener).local = bound;
  node(listener).backlog_max = static_cast<std::size_t>(std::max(options.backlog, 1));
  others.push_back(handle);
  tcp_in_use_.insert(bound);
  return {};
}

Result<Endpoint> SimEngine::try_accept(Socket& listener, Socket& accepted) {
  if (const auto error = injected()) return std::unexpected(*error);
  if (!room_for(1)) return os_error(EMFILE);  // said even when nothing waits, as Linux does
  sim::Node& from = node(listener);
  STILE_ASSERT(from.kind == sim::Node::Kind::listener);
  if (from.backlog.empty()) return os_error(EAGAIN);
  const sim::ConnectionId id = from.backlog.front();
  from.backlog.pop_front();
  sim::Connection& connection = connections_.at(id);
  const int handle = open_node(sim::Node::Kind::stream, &accepted);
  sim::Node& to = node(accepted);
  to.connection = id;
  to.side = 1;
  to.local = connection.sides[1].local;
  connection.sides[1].handle = handle;
  return connection.user ? Endpoint{} : connection.sides[0].local;
}

// A path is an endpoint of link-local space that nobody else is given.
Endpoint SimEngine::place_of(const std::string& path) {
  static const Address hidden = Address::parse("fe80::7374:696c:65").value();
  const auto port = static_cast<std::uint16_t>(local_places_.size() + 1);
  return local_places_.try_emplace(path, Endpoint{hidden, port}).first->second;
}

Result<void> SimEngine::listen_local(Socket& listener, const std::string& path, const ListenOptions& options) {
  return listen(listener, place_of(path), options);
}

std::expected<void, ConnectFailure> SimEngine::connect_local(Socket& socket, const std::string& path,
                                                             std::uint32_t user) {
  auto started = connect(socket, place_of(path));
  if (started) connections_.at(node(socket).connection).user = user;
  return started;
}

bool SimEngine::shed_one(Socket& listener) {
  sim::Node& from = node(listener);
  STILE_ASSERT(from.kind == sim::Node::Kind::listener);
  if (from.backlog.empty()) return false;
  const sim::ConnectionId id = from.backlog.front();
  from.backlog.pop_front();
  connections_.at(id).sides[1].closed = true;
  send_reset(id, 0);
  erase_if_done(id);
  return true;
}

std::optional<int> SimEngine::listener_for(const Endpoint& destination) {
  auto found = listeners_.find(destination);
  if (found == listeners_.end() && is_here(destination.address)) {
    const Address any = destination.address.is_v4() ? Address{} : Address::parse("::").value();
    found = listeners_.find(Endpoint{any, destination.port});
  }
  if (found == listeners_.end()) return std::nullopt;
  return found->second[prng_.below(found->second.size())];
}

// ── connecting ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// Interfaces and marks are checked, and change nothing else: every route leads everywhere.
std::optional<Error> SimEngine::egress_fault(const Egress* from) const noexcept {
  if (from == nullptr) return std::nullopt;
  const bool missing = !from->interface.empty() && from->interface.text() != "lo" &&
                       std::ranges::find(interfaces_, from->interface) == interfaces_.end();
  if (missing) return sys::make_error(ENODEV);
  if (from->mark != 0 && marks_refused_) return sys::make_error(EPERM);
  return std::nullopt;
}

std::expected<void, ConnectFailure> SimEngine::connect(Socket& socket, const Endpoint& peer,
                                                       const ConnectOptions& options) {
  const Egress* const from = options.from;
  const auto failure = [](const Error& error) { return std::unexpected(ConnectFailure{error, std::nullopt}); };
  if (const auto error = injected()) return failure(*error);
  if (!room_for(1)) return failure(sys::make_error(EMFILE));
  const SimBehaviour& behaviour = behaviour_of(peer.address);
  if (behaviour.answer == SimBehaviour::Answer::local_error) return failure(behaviour.error);
  if (const auto fault = egress_fault(from)) return std::unexpected(ConnectFailure{*fault, std::nullopt, true});
  const bool from_address = from != nullptr && from->address;
  if (from_address && !from->foreign && !is_here(*from->address)) {
    return std::unexpected(ConnectFailure{sys::make_error(EADDRNOTAVAIL), std::nullopt, true});
  }
  const Address source = from_address ? *from->address : source_for(peer.address);
  const auto port = free_port(source, tcp_in_use_);
  if (!port) return failure(sys::make_error(EADDRNOTAVAIL));

  const int handle = open_node(sim::Node::Kind::stream, &socket);
  const sim::ConnectionId id = next_connection_++;
  sim::Connection& connection = connections_[id];
  connection.delay = behaviour.delay;
  connection.sides[0].handle = handle;
  connection.sides[0].local = Endpoint{source, *port};
  connection.sides[1].local = peer;
  tcp_in_use_.insert(connection.sides[0].local);
  sim::Node& opened = node(socket);
  opened.connection = id;
  opened.side = 0;
  opened.local = connection.sides[0].local;
  SocketState::flags(socket) = 1;  // connecting
  CompletionQueue::start(SocketState::operation(socket));
  if (prng_.chance(faults_.connect_failure)) {
    random_connect_failure(id);
  } else {
    after(latency() + connection.delay, [this, id] { syn_arrives(id); });
  }
  return {};
}

void SimEngine::random_connect_failure(sim::ConnectionId id) {
  const auto fail_after = [&](Duration delay, int errno_value) {
    after(delay, [this, id, errno_value] { fail_connect(id, sys::make_error(errno_value), std::nullopt); });
  };
  switch (prng_.below(3)) {
    case 0:
      return fail_after(latency() * 2, ECONNREFUSED);
    case 1:
      return fail_after(faults_.connect_timeout, ETIMEDOUT);
    default:
      return fail_after(std::chrono::seconds{3}, EHOSTUNREACH);  // the neighbour does not answer
  }
}

void SimEngine::syn_arrives(sim::ConnectionId id) {
  sim::Connection* const connection = find(id);
  if (connection == nullptr) return;
  const Endpoint destination = connection->sides[1].local;
  const SimBehaviour& behaviour = behaviour_of(destination.address);
  const Duration back = latency() + connection->delay;
  const auto refuse = [&] {
    after(back, [this, id] { fail_connect(id, sys::make_error(ECONNREFUSED), std::nullopt); });
  };
  switch (behaviour.answer) {
    case SimBehaviour::Answer::refused:
      return refuse();
    case SimBehaviour::Answer::silent:
      return after(faults_.connect_timeout, [this, id] { fail_connect(id, sys::make_error(ETIMEDOUT), std::nullopt); });
    case SimBehaviour::Answer::icmp:
      return after(back, [this, id, error = behaviour.error, icmp = behaviour.icmp] { fail_connect(id, error, icmp); });
    case SimBehaviour::Answer::local_error:
      return fail_connect(id, behaviour.error, std::nullopt);
    case SimBehaviour::Answer::normal:
      break;
  }
  const std::optional<int> listener = listener_for(destination);
  if (!listener) return refuse();
  const sim::Node& listening = nodes_[static_cast<std::size_t>(*listener)];
  if (listening.backlog.size() >= listening.backlog_max) return after(syn_retry, [this, id] { syn_arrives(id); });
  after(back, [this, id, handle = *listener, generation = listening.generation] { establish(id, handle, generation); });
}

void SimEngine::establish(sim::ConnectionId id, int listener, std::uint32_t generation) {
  sim::Connection* const connection = find(id);
  if (connection == nullptr) return;
  sim::Node& listening = nodes_[static_cast<std::size_t>(listener)];
  if (listening.generation != generation) return fail_connect(id, sys::make_error(ECONNREFUSED), std::nullopt);
  connection->state = sim::Connection::State::established;
  listening.backlog.push_back(id);
  notify(connection->sides[0].handle);
  notify(listener);
}

void SimEngine::fail_connect(sim::ConnectionId id, const Error& error, const std::optional<IcmpReport>& icmp) {
  sim::Connection* const connection = find(id);
  if (connection == nullptr || connection->state != sim::Connection::State::connecting) return;
  connection->state = sim::Connection::State::failed;
  connection->failure = ConnectFailure{error, icmp};
  notify(connection->sides[0].handle);
}

std::expected<void, ConnectFailure> SimEngine::connect_result(Socket& socket) {
  STILE_ASSERT(socket.is_open() && !socket.pending());
  const sim::Connection& connection = view(node(socket)).connection;
  STILE_ASSERT(connection.state != sim::Connection::State::connecting);
  std::optional<ConnectFailure> failure = connection.failure;
  if (const auto error = injected(); error && !failure) failure = ConnectFailure{*error, std::nullopt};
  if (!failure) return {};
  let_go(socket, true);
  return std::unexpected(*failure);
}

// ── octets ──────────────────────────────────────────────────────────────────────────────────────────────────────────

void SimEngine::send_to(sim::ConnectionId id, int side, std::function<void(sim::Connection&, sim::Side&)> act) {
  sim::Connection& connection = connections_.at(id);
  sim::Side& to = connection.sides[side];
  to.last_arrival = std::max(to.last_arrival, now_ + latency() + connection.delay);
  at(to.last_arrival, [this, id, side, act = std::move(act)] {
    if (sim::Connection* const found = find(id)) act(*found, found->sides[side]);
  });
}

void SimEngine::send_octets(sim::ConnectionId id, int side, ConstBytes octets) {
  while (!octets.empty()) {
    const std::size_t size = prng_.chance(faults_.split) ? 1 + prng_.below(octets.size()) : octets.size();
    sim::Side& to = connections_.at(id).sides[side];
    to.under_way += size;
    std::vector<std::uint8_t> segment(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(size));
    send_to(id, side,
            [this, id, side, flight = to.flight, segment = std::move(segment)](sim::Connection&, sim::Side& at_side) {
              if (at_side.flight != flight) return;
              at_side.under_way -= segment.size();
              if (at_side.closed) return send_reset(id, 1 - side);
              if (at_side.reset_arrived) return;
              trace(segment);
              at_side.unread.append(segment);
              notify(at_side.handle);
            });
    octets = octets.subspan(size);
  }
}

void SimEngine::send_reset(sim::ConnectionId id, int side) {
  sim::Side& to = connections_.at(id).sides[side];
  if (std::exchange(to.reset_sent, true)) return;
  send_to(id, side, [this](sim::Connection&, sim::Side& at_side) {
    if (at_side.closed) return;
    at_side.reset_arrived = true;
    notify(at_side.handle);
  });
}

void SimEngine::lose_flight(sim::Side& to) {
  ++to.flight;
  to.under_way = 0;
}

Error SimEngine::note(Socket& socket, const Error& error) {
  if (SocketState::ends_stream(error.kind)) SocketState::note_failure(socket, error.kind);
  return error;
}

/// An injected failure of a call on a stream. One that ends the stream ends it for the peer too.
std::optional<Error> SimEngine::stream_fault(Socket& socket) {
  std::optional<Error> error = injected();
  if (!error && prng_.chance(bystanders_ > 0 ? 0 : faults_.reset)) error = sys::make_error(ECONNRESET);
  if (!error || !SocketState::ends_stream(error->kind)) return error;
  const sim::Node& of = node(socket);
  const View both = view(of);
  SocketState::note_failure(socket, error->kind);
  both.mine.reset_arrived = true;
  if (!both.peers.closed) send_reset(of.connection, 1 - of.side);
  return error;
}

Result<std::size_t> SimEngine::receive(Socket& socket, MutableBytes into) {
  STILE_ASSERT(socket.is_open() && !into.empty());
  if (const auto error = stream_fault(socket)) return std::unexpected(*error);
  return receive_now(socket, into);
}

Result<std::size_t> SimEngine::receive_now(Socket& socket, MutableBytes into) {
  const View both = view(node(socket));
  if (!both.mine.unread.empty()) {
    std::size_t count = std::min(into.size(), both.mine.unread.size());
    if (prng_.chance(faults_.short_read)) count = 1;
    const ConstBytes taken = both.mine.unread.all().first(count);
    std::copy(taken.begin(), taken.end(), into.begin());
    both.mine.unread.drop(count);
    if (std::exchange(both.peers.wants_room, false)) {
      const sim::ConnectionId id = node(socket).connection;
      const int peer = 1 - node(socket).side;
      after(latency() + both.connection.delay, [this, id, peer] {
        if (const sim::Connection* const found = find(id)) notify(found->sides[peer].handle);
      });
    }
    return count;
  }
  if (SocketState::failure(socket) != 0) return std::unexpected(SocketState::failure_error(socket));
  if (both.mine.reset_arrived) return std::unexpected(note(socket, sys::make_error(ECONNRESET)));
  if (both.mine.fin_arrived) return std::size_t{0};
  return os_error(EAGAIN);
}

Result<std::size_t> SimEngine::send(Socket& socket, ConstBytes octets) {
  STILE_ASSERT(socket.is_open() && !octets.empty());
  if (const auto error = stream_fault(socket)) return std::unexpected(*error);
  return send_now(socket, octets);
}

Result<std::size_t> SimEngine::send_now(Socket& socket, ConstBytes octets) {
  const sim::Node& from = node(socket);
  const View both = view(from);
  if (both.connection.state == sim::Connection::State::connecting) return os_error(EAGAIN);
  if (both.mine.reset_arrived) return std::unexpected(note(socket, sys::make_error(ECONNRESET)));
  if (both.mine.fin_sent) return std::unexpected(note(socket, sys::make_error(EPIPE)));
  std::size_t count = std::min(octets.size(), room(both.peers));
  if (count > 1 && prng_.chance(faults_.short_write)) count = 1;
  if (count < octets.size()) both.mine.wants_room = true;
  if (count == 0) return os_error(EAGAIN);
  send_octets(from.connection, 1 - from.side, octets.first(count));
  return count;
}

Result<void> SimEngine::shutdown_write(Socket& socket) {
  STILE_ASSERT(socket.is_open());
  if (const auto error = stream_fault(socket)) return std::unexpected(*error);
  const sim::Node& of = node(socket);
  const View both = view(of);
  if (both.mine.reset_arrived) return std::unexpected(note(socket, sys::make_error(ENOTCONN)));
  if (std::exchange(both.mine.fin_sent, true)) return {};
  send_to(of.connection, 1 - of.side, [this](sim::Connection&, sim::Side& at_side) {
    at_side.fin_arrived = true;
    notify(at_side.handle);
  });
  return {};
}

bool SimEngine::failed(const Socket& socket) const noexcept {
  if (SocketState::failure(socket) != 0) return true;
  const sim::Node& of = node(socket);
  if (of.kind != sim::Node::Kind::stream) return false;
  const sim::Connection& connection = connections_.at(of.connection);
  return connection.state == sim::Connection::State::failed || connection.sides[of.side].reset_arrived;
}

Result<Endpoint> SimEngine::peer_endpoint(const Socket& socket) const {
  STILE_ASSERT(socket.is_open());
  const sim::Node& of = node(socket);
  if (of.kind != sim::Node::Kind::stream) return os_error(ENOTCONN);
  const sim::Connection& connection = connections_.at(of.connection);
  return connection.user ? Endpoint{} : connection.sides[1 - of.side].local;
}

std::optional<std::uint32_t> SimEngine::peer_user(const Socket& socket) const noexcept {
  const sim::Node& of = node(socket);
  if (of.kind != sim::Node::Kind::stream || of.side == 0) return std::nullopt;
  return connections_.at(of.connection).user;
}

Result<Address> SimEngine::source_towards(const Address& destination, const Egress* from) {
  if (const auto fault = egress_fault(from)) return std::unexpected(*fault);
  return source_for(destination);
}

// ── closing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void SimEngine::close(Socket& socket) noexcept {
  let_go(socket, false);
}

void SimEngine::abort(Socket& socket) noexcept {
  let_go(socket, true);
}

void SimEngine::let_go(Socket& socket, bool with_reset) noexcept {
  if (!socket.is_open()) return;
  cancel(socket);
  sim::Node& closed = node(socket);
  switch (closed.kind) {
    case sim::Node::Kind::listener: {
      std::vector<int>& same = listeners_[closed.local];
      std::erase(same, socket.handle());
      if (same.empty()) listeners_.erase(closed.local);
      tcp_in_use_.erase(tcp_in_use_.find(closed.local));
      while (shed_one(socket)) continue;
      break;
    }
    case sim::Node::Kind::stream:
      close_stream(closed, with_reset);
      break;
    case sim::Node::Kind::udp:
      udp_ports_.erase(closed.local);
      udp_in_use_.erase(udp_in_use_.find(closed.local));
      break;
    default:
      break;
  }
  close_node(socket.handle());
  SocketState::clear(socket);
}

void SimEngine::close_stream(sim::Node& closed, bool with_reset) {
  const sim::ConnectionId id = closed.connection;
  const int peer = 1 - closed.side;
  const View both = view(closed);
  both.mine.closed = true;
  both.mine.handle = -1;
  if (both.connection.state != sim::Connection::State::established) {
    both.peers.closed = true;  // nobody has seen it
  } else if (!both.mine.reset_arrived && !both.peers.closed) {
    if (with_reset || !both.mine.unread.empty()) {
      if (prng_.chance(faults_.reset_overtakes)) lose_flight(both.peers);
      send_reset(id, peer);
    } else if (!both.mine.fin_sent) {
      both.mine.fin_sent = true;
      send_to(id, peer, [this](sim::Connection&, sim::Side& at_side) {
        at_side.fin_arrived = true;
        notify(at_side.handle);
      });
    }
  }
  erase_if_done(id);
}

void SimEngine::erase_if_done(sim::ConnectionId id) {
  const auto found = connections_.find(id);
  const sim::Connection& connection = found->second;
  if (!connection.sides[0].closed || !connection.sides[1].closed) return;
  tcp_in_use_.erase(tcp_in_use_.find(connection.sides[0].local));
  connections_.erase(found);
}

// ── pipes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

Result<void> SimEngine::open_pipe(Pipe& pipe, std::size_t capacity_wanted) {
  STILE_ASSERT(!pipe.is_open() && capacity_wanted > 0);
  if (const auto error = injected()) return std::unexpected(*error);
  if (!room_for(2)) return os_error(EMFILE);
  pipe.read_handle = open_node(sim::Node::Kind::pipe_read, nullptr);
  pipe.write_handle = open_node(sim::Node::Kind::pipe_write, nullptr);
  pipe.capacity = std::min(capacity_wanted, faults_.pipe_octets_max);
  pipe.held = 0;
  ++open_pipes_;
  return {};
}

void SimEngine::close_pipe(Pipe& pipe) noexcept {
  if (!pipe.is_open()) return;
  close_node(pipe.read_handle);
  close_node(pipe.write_handle);
  pipe.read_handle = -1;
  pipe.write_handle = -1;
  pipe.capacity = 0;
  pipe.held = 0;
  --open_pipes_;
}

Result<std::size_t> SimEngine::splice_in(Socket& from, Pipe& pipe, std::size_t octets_max) {
  STILE_ASSERT(from.is_open() && pipe.is_open() && octets_max > 0);
  if (const auto error = stream_fault(from)) return std::unexpected(*error);
  if (pipe.held >= pipe.capacity) return os_error(EAGAIN);
  std::vector<std::uint8_t> octets(std::min(octets_max, pipe.capacity - pipe.held));
  const Result<std::size_t> count = receive_now(from, octets);
  if (!count) return count;
  nodes_[static_cast<std::size_t>(pipe.read_handle)].pipe.append(ConstBytes(octets).first(*count));
  pipe.held += *count;
  return count;
}

Result<std::size_t> SimEngine::splice_out(Pipe& pipe, Socket& to) {
  STILE_ASSERT(to.is_open() && pipe.is_open() && pipe.held > 0);
  if (const auto error = stream_fault(to)) return std::unexpected(*error);
  sim::OctetQueue& inside = nodes_[static_cast<std::size_t>(pipe.read_handle)].pipe;
  const Result<std::size_t> count = send_now(to, inside.all());
  if (!count) return count;
  inside.drop(*count);
  pipe.held -= *count;
  return count;
}

}  // namespace stile::engine
