// The classic interface of include/stile/socks.h, which says what each function does.
#include <stile/socks.h>

#include <cstring>
#include <utility>

#include "client/classic.h"
#include "client/handles.h"
#include "sys/handed_socket.h"
#include "sys/plain_calls.h"

using namespace stile;
using namespace stile::client;

namespace {

using Answer = std::expected<int, Failure>;
using Count = std::expected<ssize_t, Failure>;

std::unexpected<Failure> fails(int system_error) {
  return std::unexpected(Failure{.code = STILE_ERROR_STATE, .system_error = system_error});
}

std::unexpected<Failure> fails(const Error& error) {
  return std::unexpected(system_failure("", error));
}

/// What the system said, errno included.
template <class Number>
std::expected<Number, Failure> plain(Number result) {
  if (result == -1) return fails(errno);
  return result;
}

bool is(sys::SocketKind kind, int fd) noexcept {
  return sys::internet_kind_of(fd) == std::optional(kind);
}

Answer connect_stream(int fd, const Target& target) {
  auto client = Classic::instance().client();
  if (!client) return std::unexpected(std::move(client.error()));
  auto& operation = (*client)->start<ConnectOperation>((*client)->plan()->timeout(), target);
  (*client)->finish(operation);
  const Failure failure = operation.failure();
  protect::Line line;
  if (failure.is_none()) operation.take(line);
  (*client)->drop(operation);
  if (!failure.is_none()) return std::unexpected(failure);
  const auto stream = (*client)->hand_out(line);
  if (!stream) return fails(stream.error());
  if (const auto put = sys::put_onto(stream->get(), fd); !put) return fails(put.error());
  Classic::instance().remember(
      fd, {.identity = sys::identity_of(fd).value_or(sys::SocketIdentity{}), .connected = Classic::Connected{target}});
  return 0;
}

/// A client of its own, which waits for the peer: its descriptor tells when that is worth while.
Answer bind_stream(int fd, const Target& from) {
  auto plan = Classic::instance().plan();
  if (!plan) return std::unexpected(std::move(plan.error()));
  auto client = Client::create(*std::move(plan));
  if (!client) return std::unexpected(std::move(client.error()));
  auto bound = std::make_shared<Classic::Bound>();
  bound->client = *std::move(client);
  auto& operation = bound->client->start<ListenOperation>(bound->client->plan()->timeout(), from);
  bound->client->finish(operation);
  const Failure failure = operation.failure();
  if (failure.is_none()) bound->listening = &bound->client->keep(operation.take());
  bound->client->drop(operation);
  if (!failure.is_none()) return std::unexpected(failure);
  if (const auto put = sys::put_onto(bound->client->descriptor(), fd); !put) return fails(put.error());
  Classic::instance().remember(fd, {.identity = sys::identity_of(fd).value_or(sys::SocketIdentity{}), .bound = bound});
  return 0;
}

void begin_accepting(Classic::Bound& bound) {
  if (bound.accepting != nullptr) return;
  bound.accepting = &bound.client->start<AcceptOperation>(std::nullopt, bound.client->shared(*bound.listening));
}

Answer accept_stream(Classic::Bound& bound, bool waits, sockaddr* address, socklen_t* length) {
  const std::scoped_lock lock(bound.mutex);
  if (bound.client->forked() || bound.listening->taken()) return fails(EINVAL);
  begin_accepting(bound);
  AcceptOperation& operation = *bound.accepting;
  if (!waits) bound.client->drive();
  if (!waits && !operation.done()) return fails(EAGAIN);
  bound.client->finish(operation);
  const Failure failure = operation.failure();
  bound.accepting = nullptr;
  bound.client->drop(operation);
  if (!failure.is_none()) return std::unexpected(failure);
  protect::Line line;
  bound.listening->take(line);
  put(bound.listening->peer(), address, length);
  auto stream = bound.client->hand_out(line);
  if (!stream) return fails(stream.error());
  return stream->release();
}

std::expected<std::shared_ptr<Classic::Associated>, Failure> associate(int fd) {
  auto client = Classic::instance().client();
  if (!client) return std::unexpected(std::move(client.error()));
  auto& operation = (*client)->start<AssociateOperation>((*client)->plan()->timeout());
  (*client)->finish(operation);
  const Failure failure = operation.failure();
  auto associated = std::make_shared<Classic::Associated>();
  if (failure.is_none()) {
    auto datagrams = (*client)->hand_out(operation);
    if (datagrams) associated->datagrams = *std::move(datagrams);
    if (!datagrams) {
      (*client)->drop(operation);
      return std::unexpected(std::move(datagrams.error()));
    }
  }
  (*client)->drop(operation);
  if (!failure.is_none()) return std::unexpected(failure);
  if (const auto put = sys::put_onto(associated->datagrams->socket(), fd); !put) return fails(put.error());
  Classic::instance().remember(
      fd, {.identity = sys::identity_of(fd).value_or(sys::SocketIdentity{}), .associated = associated});
  return associated;
}

std::expected<Datagrams::Received, Failure> receive(Classic::Associated& associated, MutableBytes into, bool waits) {
  for (;;) {
    {
      const std::scoped_lock lock(associated.mutex);
      if (associated.datagrams->forked()) return fails(EINVAL);
      auto received = associated.datagrams->receive(into, Duration::zero());
      if (received || received.error().code != STILE_ERROR_TIMEOUT) return received;
    }
    if (!waits) return fails(EAGAIN);
    if (const auto ready = associated.datagrams->wait(std::nullopt); !ready) return fails(ready.error());
  }
}

/// One answer of Rgethostbyname, as gethostbyname(3) gives it.
struct HostAnswer {
  hostent entry{};
  char name[256]{};
  char address[16]{};
  char* addresses[2]{};
  char* aliases[1]{};
};
thread_local HostAnswer host_answer;

hostent* answer(std::string_view name, const Address& address) noexcept {
  HostAnswer& room = host_answer;
  room = {};
  name.copy(room.name, sizeof room.name - 1);
  const ConstBytes octets = address.octets();
  std::memcpy(room.address, octets.data(), octets.size());
  room.addresses[0] = room.address;
  room.entry.h_name = room.name;
  room.entry.h_aliases = room.aliases;
  room.entry.h_addrtype = address.is_v4() ? AF_INET : AF_INET6;
  room.entry.h_length = static_cast<int>(octets.size());
  room.entry.h_addr_list = room.addresses;
  return &room.entry;
}

/// The address of a name that goes without a proxy.
std::expected<Host, Failure> look_up(const Host& name) {
  auto client = Classic::instance().client();
  if (!client) return std::unexpected(std::move(client.error()));
  auto& operation = (*client)->start<ResolveOperation>((*client)->plan()->timeout(), name);
  (*client)->finish(operation);
  const Failure failure = operation.failure();
  const Host found = operation.answer();
  (*client)->drop(operation);
  if (!failure.is_none()) return std::unexpected(failure);
  return found;
}

}  // namespace

extern "C" {

int SOCKSinit(const char*) {
  return guarded<int>(nullptr, -1, []() -> Answer {
    auto plan = Classic::instance().plan();
    if (!plan) return std::unexpected(std::move(plan.error()));
    return 0;
  });
}

int Rconnect(int fd, const sockaddr* address, socklen_t length) {
  return guarded<int>(nullptr, -1, [&]() -> Answer {
    if (!sys::internet_kind_of(fd)) return plain(sys::plain_connect(fd, address, length));
    if (!is(sys::SocketKind::stream, fd)) return fails(EOPNOTSUPP);
    const auto known = Classic::instance().find(fd);
    if (known && known->connected) return fails(EISCONN);
    const auto target = Classic::instance().target_of(address, length);
    if (!target) return std::unexpected(target.error());
    return connect_stream(fd, *target);
  });
}

int Rbind(int fd, const sockaddr* address, socklen_t length) {
  return guarded<int>(nullptr, -1, [&]() -> Answer {
    if (!is(sys::SocketKind::stream, fd)) return plain(sys::plain_bind(fd, address, length));
    auto plan = Classic::instance().plan();
    if (!plan) return std::unexpected(std::move(plan.error()));
    const Target from = Classic::instance().last_target().value_or(Target{});
    if ((*plan)->no_proxy().covers(from)) return plain(sys::plain_bind(fd, address, length));
    return bind_stream(fd, from);
  });
}

int Rlisten(int fd, int backlog) {
  return guarded<int>(nullptr, -1, [&]() -> Answer {
    const auto known = Classic::instance().find(fd);
    if (!known || known->bound == nullptr) return plain(sys::plain_listen(fd, backlog));
    const std::scoped_lock lock(known->bound->mutex);
    if (known->bound->client->forked() || known->bound->listening->taken()) return fails(EINVAL);
    begin_accepting(*known->bound);
    known->bound->client->drive();
    return 0;
  });
}

int Raccept(int fd, sockaddr* address, socklen_t* length) {
  return guarded<int>(nullptr, -1, [&]() -> Answer {
    const auto known = Classic::instance().find(fd);
    if (!known || known->bound == nullptr) return plain(sys::plain_accept(fd, address, length));
    return accept_stream(*known->bound, !sys::is_non_blocking(fd), address, length);
  });
}

int Rgetsockname(int fd, sockaddr* address, socklen_t* length) {
  return guarded<int>(nullptr, -1, [&]() -> Answer {
    const auto known = Classic::instance().find(fd);
    if (!known || known->bound == nullptr) return plain(sys::plain_own_name(fd, address, length));
    put(known->bound->listening->place(), address, length);
    return 0;
  });
}

int Rgetpeername(int fd, sockaddr* address, socklen_t* length) {
  return guarded<int>(nullptr, -1, [&]() -> Answer {
    const auto known = Classic::instance().find(fd);
    if (!known || !known->connected) return plain(sys::plain_peer_name(fd, address, length));
    const Target& target = known->connected->target;
    const HostName* const name = target.host_name();
    const Address place = name == nullptr ? *target.address() : Classic::instance().stand_ins().for_name(*name);
    put(Endpoint{.address = place, .port = target.port}, address, length);
    return 0;
  });
}

ssize_t Rsendto(int fd, const void* octets, size_t size, int flags, const sockaddr* to, socklen_t length) {
  return guarded<ssize_t>(nullptr, -1, [&]() -> Count {
    const auto as_it_is = [&] { return plain(sys::plain_send_to(fd, octets, size, flags, to, length)); };
    if (to == nullptr || !is(sys::SocketKind::datagram, fd)) return as_it_is();
    const auto target = Classic::instance().target_of(to, length);
    if (!target) return std::unexpected(target.error());
    const auto known = Classic::instance().find(fd);
    std::shared_ptr<Classic::Associated> associated = known ? known->associated : nullptr;
    if (associated == nullptr) {
      auto plan = Classic::instance().plan();
      if (!plan) return std::unexpected(std::move(plan.error()));
      if ((*plan)->no_proxy().covers(*target)) return as_it_is();
      auto made = associate(fd);
      if (!made) return std::unexpected(std::move(made.error()));
      associated = *std::move(made);
    }
    const std::scoped_lock lock(associated->mutex);
    if (associated->datagrams->forked()) return fails(EINVAL);
    const Failure failure = associated->datagrams->send({static_cast<const std::uint8_t*>(octets), size}, *target);
    if (!failure.is_none()) return std::unexpected(failure);
    return static_cast<ssize_t>(size);
  });
}

ssize_t Rrecvfrom(int fd, void* octets, size_t size, int flags, sockaddr* from, socklen_t* length) {
  return guarded<ssize_t>(nullptr, -1, [&]() -> Count {
    const auto known = Classic::instance().find(fd);
    if (!known || known->associated == nullptr) {
      return plain(sys::plain_receive_from(fd, octets, size, flags, from, length));
    }
    if ((flags & ~MSG_DONTWAIT) != 0) return fails(EOPNOTSUPP);
    const bool waits = (flags & MSG_DONTWAIT) == 0 && !sys::is_non_blocking(fd);
    const auto received = receive(*known->associated, {static_cast<std::uint8_t*>(octets), size}, waits);
    if (!received) return std::unexpected(received.error());
    put(received->from, from, length);
    return static_cast<ssize_t>(received->octets);
  });
}

int Rselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* longest) {
  return sys::plain_select(count, readable, writable, exceptional, longest);
}

hostent* Rgethostbyname(const char* name) {
  hostent* const found = guarded<hostent*>(nullptr, nullptr, [&]() -> std::expected<hostent*, Failure> {
    const auto host = host_of(name);
    if (!host) return std::unexpected(host.error());
    if (const auto* const address = std::get_if<Address>(&*host)) return answer(name, *address);
    auto plan = Classic::instance().plan();
    if (!plan) return std::unexpected(std::move(plan.error()));
    const auto& asked = std::get<HostName>(*host);
    if (!(*plan)->no_proxy().covers({.host = *host, .port = 0})) {
      return answer(asked.text(), Classic::instance().stand_ins().for_name(asked));
    }
    const auto address = look_up(*host);
    if (!address) return std::unexpected(address.error());
    return answer(asked.text(), std::get<Address>(*address));
  });
  if (found == nullptr) h_errno = HOST_NOT_FOUND;
  return found;
}

}  // extern "C"
