#include "sim/socks_client.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "sim/places.h"

namespace stile::sim_test {
namespace {

constexpr int socks4_granted = 90;
constexpr int socks4_rejected = 91;
constexpr int http_forbidden = 403;
constexpr int http_bad_gateway = 502;
constexpr int http_gateway_timeout = 504;
constexpr std::string_view user = "somebody";

std::string port_octets(std::uint16_t port) {
  return {static_cast<char>(port >> 8), static_cast<char>(port & 0xFF)};
}

std::string octets_of(const Address& address) {
  return {address.octets().begin(), address.octets().end()};
}

// USERID and, in SOCKS4a, the name, each with its NUL.
std::string request4(Command command, const std::string& address, std::uint16_t port, const std::string& name) {
  std::string octets{4, static_cast<char>(command)};
  octets += port_octets(port) + address + std::string(user) + '\0';
  return name.empty() ? octets : octets + name + '\0';
}

std::string request_http(const std::string& host, std::uint16_t port) {
  const std::string authority = host + ":" + std::to_string(port);
  return "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n";
}

Endpoint endpoint_at(const std::string& octets, std::size_t address, std::size_t length, std::size_t port) {
  const auto octet = [&](std::size_t at) { return static_cast<std::uint8_t>(octets[at]); };
  const auto number = static_cast<std::uint16_t>(octet(port) << 8 | octet(port + 1));
  if (length == 4) {
    return {Address::v4(octet(address), octet(address + 1), octet(address + 2), octet(address + 3)), number};
  }
  std::array<std::uint8_t, 16> v6;
  for (std::size_t i = 0; i < v6.size(); ++i) v6[i] = octet(address + i);
  return {Address::v6(v6), number};
}

}  // namespace

std::string request(Version version, Command command, const Address& address, std::uint16_t port) {
  if (version == Version::http) return request_http(address.to_string(), port);
  if (version == Version::socks4) return request4(command, octets_of(address), port, {});
  const std::string head{5, static_cast<char>(command), 0, static_cast<char>(address.is_v4() ? 1 : 4)};
  return head + octets_of(address) + port_octets(port);
}

std::string request(Version version, Command command, const std::string& name, std::uint16_t port) {
  if (version == Version::http) return request_http(name, port);
  if (version == Version::socks4) return request4(command, std::string{0, 0, 0, 1}, port, name);
  const std::string head{5, static_cast<char>(command), 0, 3, static_cast<char>(name.size())};
  return head + name + port_octets(port);
}

int code_for(Version version, int code) {
  if (code <= 0 || version == Version::socks5) return code;
  return version == Version::socks4 ? socks4_rejected : code == 2 ? http_forbidden : http_bad_gateway;
}

// RFC 1928 section 3, RFC 1929 section 2.
std::string greeting(const SocksClient::Manner& manner) {
  if (manner.version != Version::socks5) return {};
  if (manner.user.empty()) return {5, 1, 0};
  const std::string login = std::string{5, 1, 2, 1, static_cast<char>(manner.user.size())} + manner.user;
  return login + static_cast<char>(manner.password.size()) + manner.password;
}

SocksClient::SocksClient(engine::SimEngine& engine, Manner manner)
    : Talker(engine), manner_(std::move(manner)), handshake_(greeting(manner_) + manner_.request + manner_.early) {
  segment_ = manner_.segment;
}

void SocksClient::begin() {
  connect(manner_.ipv6 ? client_address6 : client_address, manner_.ipv6 ? server_endpoint6 : server_endpoint);
}

void SocksClient::step() {
  if (asleep()) return;
  if (sent_ < handshake_.size()) {
    const std::size_t size = std::min(manner_.segment, handshake_.size() - sent_);
    write(handshake_.substr(sent_, size));
    sent_ += size;
    if (manner_.pause > Duration::zero() || sent_ < handshake_.size()) return sleep(manner_.pause);
  }
  proceed();
}

// The method choice of SOCKS5 takes two octets, as the answer to a login does, then the replies follow.
std::optional<std::size_t> SocksClient::reply_begin(std::size_t index) const {
  std::size_t begin = manner_.version != Version::socks5 ? 0 : manner_.user.empty() ? 2 : 4;
  for (std::size_t i = 0; i < index; ++i) {
    const auto octets = reply_octets(begin);
    if (!octets) return std::nullopt;
    begin += *octets;
  }
  return begin;
}

// How many octets the reply that begins there has; absent before all of it came.
std::optional<std::size_t> SocksClient::reply_octets(std::size_t begin) const {
  const std::string& octets = seen().octets;
  if (manner_.version == Version::http) {
    const std::size_t end = octets.find("\r\n\r\n", begin);
    return end == std::string::npos ? std::nullopt : std::optional(end + 4 - begin);
  }
  std::size_t length = 8;
  if (manner_.version == Version::socks5) {
    if (octets.size() < begin + 4) return std::nullopt;
    length = octets[begin + 3] == 4 ? 22 : 10;
  }
  if (octets.size() < begin + length) return std::nullopt;
  return length;
}

std::optional<Reply> SocksClient::reply(std::size_t index) const {
  const auto begin = reply_begin(index);
  const auto length = begin ? reply_octets(*begin) : std::nullopt;
  if (!length) return std::nullopt;
  const std::string& octets = seen().octets;
  if (manner_.version == Version::http) {
    const int status = std::atoi(octets.c_str() + *begin + std::string_view("HTTP/1.1 ").size());
    return Reply{status / 100 == 2 ? 0 : status == http_gateway_timeout ? http_bad_gateway : status, {}};
  }
  const int code = static_cast<unsigned char>(octets[*begin + 1]);
  if (manner_.version == Version::socks4) {
    return Reply{code == socks4_granted ? 0 : code, endpoint_at(octets, *begin + 4, 4, *begin + 2)};
  }
  return Reply{code, endpoint_at(octets, *begin + 4, *length - 6, *begin + *length - 2)};
}

std::string SocksClient::payload(std::size_t replies) const {
  const auto begin = reply_begin(replies);
  return begin && *begin <= seen().octets.size() ? seen().octets.substr(*begin) : std::string();
}

}  // namespace stile::sim_test
