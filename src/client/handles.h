// What the C interfaces have in common: the opaque types of include/stile/stile.h are objects of this room under
// another name, and no exception leaves it.
#pragma once

#include <stile/stile.h>

#include <cerrno>
#include <expected>
#include <new>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "client/client.h"
#include "client/failure.h"

namespace stile::client {

inline Client& of(stile_client* handle) noexcept {
  return *reinterpret_cast<Client*>(handle);
}
inline const Client& of(const stile_client* handle) noexcept {
  return *reinterpret_cast<const Client*>(handle);
}
inline Operation& of(stile_operation* handle) noexcept {
  return *reinterpret_cast<Operation*>(handle);
}
inline const Operation& of(const stile_operation* handle) noexcept {
  return *reinterpret_cast<const Operation*>(handle);
}
inline Listening& of(stile_listener* handle) noexcept {
  return *reinterpret_cast<Listening*>(handle);
}
inline const Listening& of(const stile_listener* handle) noexcept {
  return *reinterpret_cast<const Listening*>(handle);
}
inline Datagrams& of(stile_udp* handle) noexcept {
  return *reinterpret_cast<Datagrams*>(handle);
}
inline const Datagrams& of(const stile_udp* handle) noexcept {
  return *reinterpret_cast<const Datagrams*>(handle);
}
inline stile_client* handle_of(Client* client) noexcept {
  return reinterpret_cast<stile_client*>(client);
}
inline stile_operation* handle_of(Operation* operation) noexcept {
  return reinterpret_cast<stile_operation*>(operation);
}
inline stile_listener* handle_of(Listening* listening) noexcept {
  return reinterpret_cast<stile_listener*>(listening);
}
inline stile_udp* handle_of(Datagrams* datagrams) noexcept {
  return reinterpret_cast<stile_udp*>(datagrams);
}

/// What `call` gives, an std::expected<Value, Failure>; where that is a failure, it is told and `otherwise` given.
template <class Value, class Call>
Value guarded(stile_error* error, Value otherwise, Call call) noexcept {
  try {
    const int before = errno;
    std::expected<Value, Failure> result = call();
    if (result) {
      tell({}, error);
      errno = before;
      return *result;
    }
    tell(result.error(), error);
  } catch (const std::bad_alloc&) {
    tell({.code = STILE_ERROR_SYSTEM, .system_error = ENOMEM}, error);
  } catch (...) {
    tell({.code = STILE_ERROR_SYSTEM, .system_error = EIO}, error);
  }
  return otherwise;
}

/// Why nothing may be asked of it: there is none, or it is another process's.
[[nodiscard]] std::optional<Failure> unusable(const Client* client);

[[nodiscard]] std::expected<Host, Failure> host_of(const char* text);
/// `port` 0 only where `any_port`.
[[nodiscard]] std::expected<Target, Failure> target_of(const char* host, std::uint16_t port, bool any_port = false);

/// Fills what the caller gave room for, as getsockname(2) does; absent: AF_UNSPEC. nullptr: nothing.
void put(const std::optional<Endpoint>& endpoint, sockaddr* address, socklen_t* length) noexcept;

/// Of the operation's kind, which is another's where the caller mixed them up.
template <class Kind>
std::expected<Kind*, Failure> finished(stile_operation* handle) {
  auto* const kind = handle == nullptr ? nullptr : dynamic_cast<Kind*>(&of(handle));
  if (kind == nullptr) return std::unexpected(state_failure("it is another kind of operation"));
  auto& client = static_cast<Client&>(kind->owner());
  if (auto why = unusable(&client)) return std::unexpected(*std::move(why));
  client.finish(*kind);
  return kind;
}

}  // namespace stile::client
