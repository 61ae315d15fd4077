// The C interface of include/stile/stile.h, which says what each function does.
#include <stile/stile.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "client/handles.h"
#include "sys/sockaddr.h"

using namespace stile;
using namespace stile::client;

namespace {

using Fd = std::expected<int, Failure>;

/// An operation of one kind, by what was asked for; `limit` as of the client's plan.
template <class Kind, class Asked>
stile_operation* start(stile_client* handle, stile_error* error, std::expected<Asked, Failure> asked) noexcept {
  return guarded<stile_operation*>(error, nullptr, [&]() -> std::expected<stile_operation*, Failure> {
    if (auto why = unusable(reinterpret_cast<Client*>(handle))) return std::unexpected(*std::move(why));
    if (!asked) return std::unexpected(std::move(asked.error()));
    Client& client = of(handle);
    return handle_of(&client.start<Kind>(client.plan()->timeout(), *asked));
  });
}

Client& client_of(Operation& operation) noexcept {
  return static_cast<Client&>(operation.owner());
}

/// What `use` makes of it where it went well; the operation is freed.
template <class Kind, class Value, class Use>
Value finish(stile_operation* handle, stile_error* error, Value otherwise, Use use) noexcept {
  return guarded<Value>(error, otherwise, [&]() -> std::expected<Value, Failure> {
    auto done = finished<Kind>(handle);
    if (!done) return std::unexpected(std::move(done.error()));
    Kind& operation = **done;
    struct Freed {
      Operation& operation;
      ~Freed() { client_of(operation).drop(operation); }
    } const freed{operation};
    if (!operation.failure().is_none()) return std::unexpected(operation.failure());
    return use(operation, client_of(operation));
  });
}

Fd hand_out(Client& client, protect::Line& line) {
  auto fd = client.hand_out(line);
  if (!fd) return std::unexpected(system_failure("the stream cannot be handed out", fd.error()));
  return fd->release();
}

std::optional<Duration> duration_of(int milliseconds) noexcept {
  if (milliseconds < 0) return std::nullopt;
  return std::chrono::milliseconds(milliseconds);
}

}  // namespace

extern "C" {

const char* stile_version(void) {
  return STILE_VERSION;
}

const char* stile_code_name(int code) {
  static constexpr const char* names[] = {
      "STILE_OK",
      "STILE_ERROR_ARGUMENT",
      "STILE_ERROR_SETTINGS",
      "STILE_ERROR_NO_PROXY",
      "STILE_ERROR_SYSTEM",
      "STILE_ERROR_STATE",
      "STILE_ERROR_PROXY_NAME",
      "STILE_ERROR_TARGET_NAME",
      "STILE_ERROR_PROXY_DOWN",
      "STILE_ERROR_PROTECTION",
      "STILE_ERROR_CLEAR_PASSWORD",
      "STILE_ERROR_LOGIN",
      "STILE_ERROR_REFUSED",
      "STILE_ERROR_UNSUPPORTED",
      "STILE_ERROR_PROTOCOL",
      "STILE_ERROR_CLOSED",
      "STILE_ERROR_TIMEOUT",
      "STILE_ERROR_CANCELED",
      "STILE_ERROR_TOO_LONG",
      "STILE_ERROR_TARGET",
  };
  static_assert(std::size(names) == STILE_ERROR_TARGET + 1);
  return code >= 0 && code <= STILE_ERROR_TARGET ? names[code] : "STILE_ERROR_?";
}

// ── clients ─────────────────────────────────────────────────────────────────────────────────────────────────────────

stile_client* stile_open(const char* urls, stile_error* error) {
  stile_settings settings{};
  settings.size = sizeof settings;
  settings.urls = urls;
  return stile_open_with(&settings, error);
}

stile_client* stile_open_with(const stile_settings* settings, stile_error* error) {
  return guarded<stile_client*>(error, nullptr, [&]() -> std::expected<stile_client*, Failure> {
    if (settings == nullptr) return std::unexpected(argument_failure("there are no settings"));
    auto plan = Plan::create(*settings, Plan::environment);
    if (!plan) return std::unexpected(std::move(plan.error()));
    auto client = Client::create(*std::move(plan));
    if (!client) return std::unexpected(std::move(client.error()));
    return handle_of(client->release());
  });
}

stile_client* stile_copy(const stile_client* original, stile_error* error) {
  return guarded<stile_client*>(error, nullptr, [&]() -> std::expected<stile_client*, Failure> {
    if (original == nullptr) return std::unexpected(state_failure("there is no client"));
    auto client = Client::create(of(original).plan());
    if (!client) return std::unexpected(std::move(client.error()));
    return handle_of(client->release());
  });
}

void stile_close(stile_client* client) {
  if (client == nullptr || of(client).forked()) return;
  delete &of(client);
}

int stile_goes_directly(const stile_client* client, const char* host, uint16_t port) {
  if (client == nullptr) return 0;
  return guarded<int>(nullptr, 0, [&]() -> Fd {
    const auto target = target_of(host, port, true);
    return target && of(client).plan()->no_proxy().covers(*target) ? 1 : 0;
  });
}

int stile_descriptor(const stile_client* client) {
  return client == nullptr ? -1 : of(client).descriptor();
}

int stile_drive(stile_client* client) {
  return guarded<int>(nullptr, -1, [&]() -> Fd {
    if (auto why = unusable(reinterpret_cast<Client*>(client))) return std::unexpected(*std::move(why));
    return static_cast<int>(of(client).drive());
  });
}

stile_operation* stile_next(stile_client* client) {
  return client == nullptr ? nullptr : handle_of(of(client).next_done());
}

// ── operations ──────────────────────────────────────────────────────────────────────────────────────────────────────

int stile_done(const stile_operation* operation) {
  return operation != nullptr && of(operation).done() ? 1 : 0;
}

void stile_wait(stile_operation* operation) {
  if (operation != nullptr)
    (void)guarded<int>(nullptr, 0, [&]() -> Fd {
      (void)finished<Operation>(operation);
      return 0;
    });
}

void stile_cancel(stile_operation* operation) {
  if (operation == nullptr || client_of(of(operation)).forked()) return;
  client_of(of(operation)).drop(of(operation));
}

void stile_set_data(stile_operation* operation, void* data) {
  of(operation).data = data;
}

void* stile_data(const stile_operation* operation) {
  return of(operation).data;
}

// ── connections ─────────────────────────────────────────────────────────────────────────────────────────────────────

stile_operation* stile_connect_start(stile_client* client, const char* host, uint16_t port, stile_error* error) {
  return start<ConnectOperation>(client, error, target_of(host, port));
}

int stile_connect_finish(stile_operation* operation, stile_error* error) {
  return finish<ConnectOperation>(operation, error, -1, [](ConnectOperation& connected, Client& client) -> Fd {
    protect::Line line;
    connected.take(line);
    return hand_out(client, line);
  });
}

int stile_connect(stile_client* client, const char* host, uint16_t port, stile_error* error) {
  stile_operation* const operation = stile_connect_start(client, host, port, error);
  return operation == nullptr ? -1 : stile_connect_finish(operation, error);
}

// ── listening ───────────────────────────────────────────────────────────────────────────────────────────────────────

stile_operation* stile_listen_start(stile_client* client, const char* from, uint16_t port, stile_error* error) {
  return start<ListenOperation>(client, error, target_of(from, port, true));
}

stile_listener* stile_listen_finish(stile_operation* operation, stile_error* error) {
  using Made = std::expected<stile_listener*, Failure>;
  return finish<ListenOperation, stile_listener*>(
      operation, error, nullptr,
      [](ListenOperation& listening, Client& client) -> Made { return handle_of(&client.keep(listening.take())); });
}

stile_listener* stile_listen(stile_client* client, const char* from, uint16_t port, stile_error* error) {
  stile_operation* const operation = stile_listen_start(client, from, port, error);
  return operation == nullptr ? nullptr : stile_listen_finish(operation, error);
}

int stile_listener_address(const stile_listener* listener, sockaddr* address, socklen_t* length) {
  if (listener == nullptr || address == nullptr || length == nullptr) {
    errno = EINVAL;
    return -1;
  }
  put(of(listener).place(), address, length);
  return 0;
}

stile_operation* stile_accept_start(stile_listener* handle, int timeout, stile_error* error) {
  return guarded<stile_operation*>(error, nullptr, [&]() -> std::expected<stile_operation*, Failure> {
    if (handle == nullptr) return std::unexpected(state_failure("there is no listener"));
    Listening& listening = of(handle);
    auto& client = static_cast<Client&>(listening.owner());
    if (auto why = unusable(&client)) return std::unexpected(*std::move(why));
    if (listening.taken()) return std::unexpected(state_failure("its one connection was accepted"));
    if (listening.is_waited_for()) return std::unexpected(state_failure("its connection is waited for already"));
    return handle_of(&client.start<AcceptOperation>(duration_of(timeout), client.shared(listening)));
  });
}

int stile_accept_finish(stile_operation* operation, sockaddr* peer, socklen_t* length, stile_error* error) {
  return finish<AcceptOperation>(operation, error, -1, [&](AcceptOperation& accepted, Client& client) -> Fd {
    if (accepted.listening().taken()) return std::unexpected(state_failure("its one connection was accepted"));
    protect::Line line;
    accepted.listening().take(line);
    put(accepted.listening().peer(), peer, length);
    return hand_out(client, line);
  });
}

int stile_accept(stile_listener* listener, int timeout, sockaddr* peer, socklen_t* length, stile_error* error) {
  stile_operation* const operation = stile_accept_start(listener, timeout, error);
  return operation == nullptr ? -1 : stile_accept_finish(operation, peer, length, error);
}

void stile_listener_close(stile_listener* listener) {
  if (listener == nullptr) return;
  auto& client = static_cast<Client&>(of(listener).owner());
  if (!client.forked()) client.drop(of(listener));
}

// ── datagrams ───────────────────────────────────────────────────────────────────────────────────────────────────────

stile_operation* stile_udp_open_start(stile_client* handle, stile_error* error) {
  return guarded<stile_operation*>(error, nullptr, [&]() -> std::expected<stile_operation*, Failure> {
    if (auto why = unusable(reinterpret_cast<Client*>(handle))) return std::unexpected(*std::move(why));
    return handle_of(&of(handle).start<AssociateOperation>(of(handle).plan()->timeout()));
  });
}

stile_udp* stile_udp_open_finish(stile_operation* operation, stile_error* error) {
  using Made = std::expected<stile_udp*, Failure>;
  return finish<AssociateOperation, stile_udp*>(operation, error, nullptr,
                                                [](AssociateOperation& associated, Client& client) -> Made {
                                                  auto datagrams = client.hand_out(associated);
                                                  if (!datagrams) return std::unexpected(std::move(datagrams.error()));
                                                  return handle_of(datagrams->release());
                                                });
}

stile_udp* stile_udp_open(stile_client* client, stile_error* error) {
  stile_operation* const operation = stile_udp_open_start(client, error);
  return operation == nullptr ? nullptr : stile_udp_open_finish(operation, error);
}

int stile_udp_descriptor(const stile_udp* udp) {
  return udp == nullptr ? -1 : of(udp).descriptor();
}

ssize_t stile_udp_send(stile_udp* udp, const void* datagram, size_t octets, const char* host, uint16_t port,
                       stile_error* error) {
  return guarded<ssize_t>(error, -1, [&]() -> std::expected<ssize_t, Failure> {
    if (udp == nullptr || of(udp).forked())
      return std::unexpected(state_failure("it is no association of this process"));
    const auto target = target_of(host, port);
    if (!target) return std::unexpected(target.error());
    const Failure failure = of(udp).send({static_cast<const std::uint8_t*>(datagram), octets}, *target);
    if (!failure.is_none()) return std::unexpected(failure);
    return static_cast<ssize_t>(octets);
  });
}

ssize_t stile_udp_receive(stile_udp* udp, void* datagram, size_t room, int timeout, sockaddr* from, socklen_t* length,
                          stile_error* error) {
  return guarded<ssize_t>(error, -1, [&]() -> std::expected<ssize_t, Failure> {
    if (udp == nullptr || of(udp).forked())
      return std::unexpected(state_failure("it is no association of this process"));
    const auto received = of(udp).receive({static_cast<std::uint8_t*>(datagram), room}, duration_of(timeout));
    if (!received) return std::unexpected(received.error());
    put(received->from, from, length);
    return static_cast<ssize_t>(received->octets);
  });
}

void stile_udp_close(stile_udp* udp) {
  if (udp != nullptr) delete &of(udp);
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

stile_operation* stile_resolve_start(stile_client* client, const char* name, stile_error* error) {
  auto host = host_of(name);
  if (host && std::holds_alternative<Address>(*host)) host = std::unexpected(argument_failure("that is an address"));
  return start<ResolveOperation>(client, error, std::move(host));
}

int stile_resolve_finish(stile_operation* operation, sockaddr* address, socklen_t* length, stile_error* error) {
  return finish<ResolveOperation>(operation, error, -1, [&](ResolveOperation& resolved, Client&) -> Fd {
    const auto* const found = std::get_if<Address>(&resolved.answer());
    if (found == nullptr) return std::unexpected(state_failure("an address was asked for its name"));
    put(Endpoint{.address = *found, .port = 0}, address, length);
    return 0;
  });
}

int stile_resolve(stile_client* client, const char* name, sockaddr* address, socklen_t* length, stile_error* error) {
  stile_operation* const operation = stile_resolve_start(client, name, error);
  return operation == nullptr ? -1 : stile_resolve_finish(operation, address, length, error);
}

stile_operation* stile_resolve_address_start(stile_client* client, const sockaddr* address, socklen_t length,
                                             stile_error* error) {
  std::expected<Host, Failure> host = std::unexpected(argument_failure("it is no address of the Internet's"));
  if (address != nullptr) {
    const bool known =
        length >= sizeof(sa_family_t) && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
    if (known) host = sys::endpoint_of(address, length).address;
  }
  return start<ResolveOperation>(client, error, std::move(host));
}

int stile_resolve_address_finish(stile_operation* operation, char* name, stile_error* error) {
  return finish<ResolveOperation>(operation, error, -1, [&](ResolveOperation& resolved, Client&) -> Fd {
    const auto* const found = std::get_if<HostName>(&resolved.answer());
    if (found == nullptr || name == nullptr) return std::unexpected(state_failure("a name was asked for its address"));
    std::memcpy(name, found->text().c_str(), found->text().size() + 1);  // at most 253 octets
    return 0;
  });
}

int stile_resolve_address(stile_client* client, const sockaddr* address, socklen_t length, char* name,
                          stile_error* error) {
  stile_operation* const operation = stile_resolve_address_start(client, address, length, error);
  return operation == nullptr ? -1 : stile_resolve_address_finish(operation, name, error);
}

// ── ping ────────────────────────────────────────────────────────────────────────────────────────────────────────────

stile_operation* stile_ping_start(stile_client* handle, const char* host, unsigned count, stile_error* error) {
  constexpr unsigned count_max = 1'000;
  return guarded<stile_operation*>(error, nullptr, [&]() -> std::expected<stile_operation*, Failure> {
    if (auto why = unusable(reinterpret_cast<Client*>(handle))) return std::unexpected(*std::move(why));
    const auto target = host_of(host);
    if (!target) return std::unexpected(target.error());
    if (count == 0 || count > count_max) return std::unexpected(argument_failure("a count is a number from 1 to 1000"));
    Client& client = of(handle);
    std::optional<Duration> limit = client.plan()->timeout();
    if (limit) *limit = PingOperation::limit(*limit, count);
    return handle_of(&client.start<PingOperation>(limit, *target, count));
  });
}

int stile_ping_finish(stile_operation* operation, stile_echo* echoes, stile_error* error) {
  return finish<PingOperation>(operation, error, -1, [&](PingOperation& pinged, Client&) -> Fd {
    if (echoes != nullptr) std::ranges::copy(pinged.echoes(), echoes);
    return static_cast<int>(pinged.echoes().size());
  });
}

int stile_ping(stile_client* client, const char* host, unsigned count, stile_echo* echoes, stile_error* error) {
  stile_operation* const operation = stile_ping_start(client, host, count, error);
  return operation == nullptr ? -1 : stile_ping_finish(operation, echoes, error);
}

}  // extern "C"
