// libstile for C++17 and later: what include/stile/stile.h says, with owners that close what they hold, and results that
// are a value or why there is none. Nothing here throws, but std::bad_alloc. Threads and forks: as said there.
//
//   auto client = stile::Client::open("socks5h://proxy.example:1080");
//   if (!client) return complain(client.error().text());
//   auto stream = client->connect("www.example.org", 80);
//   if (stream) write(stream->get(), …);
#ifndef STILE_STILE_HPP
#define STILE_STILE_HPP

#include <stile/stile.h>
#include <unistd.h>

#include <cassert>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace stile {

/// Why there is no value.
class Error {
 public:
  explicit Error(const stile_error& error) noexcept : error_(error) {}
  [[nodiscard]] stile_code code() const noexcept { return static_cast<stile_code>(error_.code); }
  [[nodiscard]] const char* name() const noexcept { return stile_code_name(error_.code); }
  [[nodiscard]] const char* text() const noexcept { return error_.text; }
  [[nodiscard]] int system_error() const noexcept { return error_.system_error; }
  /// The proxy's number; absent where it said none.
  [[nodiscard]] std::optional<int> reply() const noexcept {
    return error_.reply < 0 ? std::nullopt : std::optional<int>(error_.reply);
  }
  /// The proxy at fault, the nearest being 0; absent where none is.
  [[nodiscard]] std::optional<int> hop() const noexcept {
    return error_.hop < 0 ? std::nullopt : std::optional<int>(error_.hop);
  }

 private:
  stile_error error_;
};

/// A value, or why there is none; to ask for the one that is not there is a fault of the program's (asserted).
template <class Value>
class Result {
 public:
  Result(Value value) : either_(std::move(value)) {}
  Result(Error error) : either_(error) {}
  [[nodiscard]] bool has_value() const noexcept { return either_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] Value& value() & noexcept {
    assert(has_value());
    return *std::get_if<0>(&either_);
  }
  [[nodiscard]] const Value& value() const& noexcept {
    assert(has_value());
    return *std::get_if<0>(&either_);
  }
  [[nodiscard]] Value&& value() && noexcept { return std::move(value()); }
  [[nodiscard]] Value& operator*() & noexcept { return value(); }
  [[nodiscard]] const Value& operator*() const& noexcept { return value(); }
  [[nodiscard]] Value&& operator*() && noexcept { return std::move(value()); }
  [[nodiscard]] Value* operator->() noexcept { return &value(); }
  [[nodiscard]] const Value* operator->() const noexcept { return &value(); }
  [[nodiscard]] const Error& error() const noexcept {
    assert(!has_value());
    return *std::get_if<1>(&either_);
  }

 private:
  std::variant<Value, Error> either_;
};

/// An ordinary descriptor, closed at its owner's end.
class Stream {
 public:
  explicit Stream(int fd) noexcept : fd_(fd) {}
  Stream(Stream&& other) noexcept : fd_(other.release()) {}
  Stream& operator=(Stream&& other) noexcept {
    if (this != &other) close(), fd_ = other.release();
    return *this;
  }
  ~Stream() { close(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  /// The caller's from then on.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

/// A socket address as the library gave it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);
  [[nodiscard]] sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Absent: for ever.
using Timeout = std::optional<std::chrono::milliseconds>;

namespace detail {

inline int milliseconds(const Timeout& timeout) noexcept { return timeout ? static_cast<int>(timeout->count()) : -1; }

struct Closer {
  void operator()(stile_client* client) const noexcept { stile_close(client); }
  void operator()(stile_listener* listener) const noexcept { stile_listener_close(listener); }
  void operator()(stile_udp* udp) const noexcept { stile_udp_close(udp); }
};

}  // namespace detail

/// One connection that the proxy waits for. It ends before its client does.
class Listener {
 public:
  explicit Listener(stile_listener* handle) noexcept : handle_(handle) {}
  /// Where peers can connect; AF_UNSPEC where the proxy did not say it as an address.
  [[nodiscard]] SocketAddress address() const noexcept {
    SocketAddress where;
    stile_listener_address(handle_.get(), where.get(), &where.length);
    return where;
  }
  [[nodiscard]] Result<Stream> accept(const Timeout& timeout = {}, SocketAddress* peer = nullptr) {
    stile_error error;
    const int fd = stile_accept(handle_.get(), detail::milliseconds(timeout), peer == nullptr ? nullptr : peer->get(),
                                peer == nullptr ? nullptr : &peer->length, &error);
    if (fd == -1) return Error(error);
    return Stream(fd);
  }
  [[nodiscard]] stile_listener* get() const noexcept { return handle_.get(); }

 private:
  std::unique_ptr<stile_listener, detail::Closer> handle_;
};

/// An association.
class Udp {
 public:
  explicit Udp(stile_udp* handle) noexcept : handle_(handle) {}
  [[nodiscard]] int descriptor() const noexcept { return stile_udp_descriptor(handle_.get()); }
  [[nodiscard]] Result<std::size_t> send(const void* datagram, std::size_t octets, const std::string& host,
                                         std::uint16_t port) {
    stile_error error;
    const ssize_t sent = stile_udp_send(handle_.get(), datagram, octets, host.c_str(), port, &error);
    if (sent == -1) return Error(error);
    return static_cast<std::size_t>(sent);
  }
  [[nodiscard]] Result<std::size_t> receive(void* datagram, std::size_t room, const Timeout& timeout = {},
                                            SocketAddress* from = nullptr) {
    stile_error error;
    const ssize_t received =
        stile_udp_receive(handle_.get(), datagram, room, detail::milliseconds(timeout),
                          from == nullptr ? nullptr : from->get(), from == nullptr ? nullptr : &from->length, &error);
    if (received == -1) return Error(error);
    return static_cast<std::size_t>(received);
  }
  [[nodiscard]] stile_udp* get() const noexcept { return handle_.get(); }

 private:
  std::unique_ptr<stile_udp, detail::Closer> handle_;
};

class Client {
 public:
  /// The environment's proxies.
  [[nodiscard]] static Result<Client> open() { return made(stile_open, nullptr); }
  /// One URL, or several with blanks between.
  [[nodiscard]] static Result<Client> open(const std::string& urls) { return made(stile_open, urls.c_str()); }
  [[nodiscard]] static Result<Client> open(const stile_settings& settings) { return made(stile_open_with, &settings); }
  [[nodiscard]] Result<Client> copy() const { return made(stile_copy, static_cast<const stile_client*>(get())); }
  [[nodiscard]] bool goes_directly(const std::string& host, std::uint16_t port) const noexcept {
    return stile_goes_directly(get(), host.c_str(), port) == 1;
  }

  [[nodiscard]] Result<Stream> connect(const std::string& host, std::uint16_t port) {
    stile_error error;
    const int fd = stile_connect(get(), host.c_str(), port, &error);
    if (fd == -1) return Error(error);
    return Stream(fd);
  }
  [[nodiscard]] Result<Listener> listen(const std::string& from, std::uint16_t port = 0) {
    stile_error error;
    stile_listener* const listener = stile_listen(get(), from.c_str(), port, &error);
    if (listener == nullptr) return Error(error);
    return Listener(listener);
  }
  [[nodiscard]] Result<Udp> open_udp() {
    stile_error error;
    stile_udp* const udp = stile_udp_open(get(), &error);
    if (udp == nullptr) return Error(error);
    return Udp(udp);
  }
  [[nodiscard]] Result<SocketAddress> resolve(const std::string& name) {
    stile_error error;
    SocketAddress address;
    if (stile_resolve(get(), name.c_str(), address.get(), &address.length, &error) == -1) return Error(error);
    return address;
  }
  [[nodiscard]] Result<std::string> resolve(const SocketAddress& address) {
    stile_error error;
    char name[256];
    if (stile_resolve_address(get(), address.get(), address.length, name, &error) == -1) return Error(error);
    return std::string(name);
  }
  [[nodiscard]] Result<std::vector<stile_echo>> ping(const std::string& host, unsigned count) {
    stile_error error;
    std::vector<stile_echo> echoes(count);
    const int told = stile_ping(get(), host.c_str(), count, echoes.data(), &error);
    if (told == -1) return Error(error);
    echoes.resize(static_cast<std::size_t>(told));
    return echoes;
  }

  /// For the calls of stile.h that never wait.
  [[nodiscard]] stile_client* get() const noexcept { return handle_.get(); }

 private:
  explicit Client(stile_client* handle) noexcept : handle_(handle) {}
  template <class Open, class From>
  [[nodiscard]] static Result<Client> made(Open open, From from) {
    stile_error error;
    stile_client* const handle = open(from, &error);
    if (handle == nullptr) return Error(error);
    return Client(handle);
  }

  std::unique_ptr<stile_client, detail::Closer> handle_;
};

}  // namespace stile

#endif
