#include "session/proxy_failure.h"

#include <algorithm>
#include <array>

#include "wire/socks4.h"

namespace stile::session {
namespace {

using wire::Command;
using wire::ProxyProtocol;

struct Words {
  std::uint16_t code;
  std::string_view why;
  std::string_view cure;
};

// RFC 1928 section 6, then Tor's extended codes (its socks-extensions, section 1.4). 07 is worded by the command.
constexpr std::array socks5_replies{
    Words{0x01, "it reports a general failure", "its log may tell more"},
    Words{0x02, "its rules do not allow it", "ask whoever runs the proxy"},
    Words{0x03, "it has no route to the target's network", ""},
    Words{0x04, "the target cannot be reached from there, or its name does not exist", ""},
    Words{0x05, "the target refuses the connection", ""},
    Words{0x06, "the way to the target is longer than the packets live (TTL expired)", ""},
    Words{0x08, "it does not take this type of address", "name the target otherwise: IPv4, IPv6 or a host name"},
    Words{0xF0, "the onion service is not known", ""},
    Words{0xF1, "the onion service's descriptor is damaged", ""},
    Words{0xF2, "the onion service was not introduced", ""},
    Words{0xF3, "the onion service did not meet", ""},
    Words{0xF4, "the onion service asks for a client's key", ""},
    Words{0xF5, "the onion service refuses the client's key", ""},
    Words{0xF6, "the onion address is malformed", ""},
    Words{0xF7, "the onion service did not answer in time", ""},
};

// The SOCKS4 note.
constexpr std::array socks4_replies{
    Words{91, "it refused the request, or the request failed", "its log may tell more; SOCKS4 has no finer answer"},
    Words{92, "it found no identd on this host", "run one, or use a proxy that needs none"},
    Words{93, "identd on this host names another user", "put that user's name into the proxy's address"},
};

// RFC 9110 section 15, as proxies use them to answer CONNECT. 407 is worded by the login.
constexpr std::array http_answers{
    Words{400, "it takes the request for a bad one", "its log may tell more"},
    Words{403, "its rules do not allow it", "ask whoever runs the proxy"},
    Words{404, "it does not find the target", ""},
    Words{405, "it takes no CONNECT", "use a proxy that tunnels"},
    Words{429, "it has had too many requests from here", "try again later"},
    Words{500, "it reports a general failure", "its log may tell more"},
    Words{501, "it takes no CONNECT", "use a proxy that tunnels"},
    Words{502, "the target refuses the connection, or cannot be reached from there", ""},
    Words{503, "it is overloaded, or cannot reach the target", "try again later"},
    Words{504, "the target did not answer it in time", ""},
};

std::string hex(std::uint16_t octet) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return {digits[octet / 16 % 16], digits[octet % 16]};
}

template <class Table>
Advice worded(const Table& table, std::uint16_t code, const std::string& otherwise) {
  const auto row = std::ranges::find(table, code, &Words::code);
  if (row == table.end()) return {otherwise, ""};
  return {std::string(row->why), std::string(row->cure)};
}

Advice http_refusal(const ProxyFailure& failure) {
  if (failure.code != 407) {
    return worded(http_answers, failure.code, "it answered with the status " + std::to_string(failure.code));
  }
  if (failure.login_offered) return {"it refused the user or the password", "check both"};
  return {"it takes no client without a login", "put USER:PASSWORD@ before the proxy's host"};
}

std::string_view protocol_name(ProxyProtocol protocol) {
  switch (protocol) {
    case ProxyProtocol::socks4:
      return "SOCKS4";
    case ProxyProtocol::socks5:
      return "SOCKS5";
    case ProxyProtocol::http:
      return "HTTP";
    case ProxyProtocol::proxy_protocol:
      return "a PROXY header";
  }
  return {};
}

Advice refusal(const ProxyFailure& failure) {
  if (failure.protocol == ProxyProtocol::http) return http_refusal(failure);
  if (failure.protocol == ProxyProtocol::socks4) {
    return worded(socks4_replies, failure.code,
                  "it answered with the code " + std::to_string(failure.code) + ", which SOCKS4 does not know");
  }
  if (failure.code == static_cast<std::uint8_t>(ReplyCode::command_not_supported)) {
    return {"this proxy does not know " + std::string(standard_name(failure.command)),
            "use one that does, such as stile serve"};
  }
  return worded(socks5_replies, failure.code,
                "it answered with the code " + hex(failure.code) + ", which no standard defines");
}

Advice other_protocol(const ProxyFailure& failure) {
  if (failure.protocol == ProxyProtocol::http) {
    return {"what listens there does not answer in HTTP (" + hex(failure.code) + " stands where it may not)",
            "check the scheme, host and port of the proxy"};
  }
  // What begins with a capital letter is an HTTP server's complaint, an FTP or SMTP greeting begins with a digit.
  if (failure.code == 'H') return {"what listens there speaks HTTP", "name the SOCKS port of the proxy"};
  return {"what listens there does not answer in SOCKS (its first octet is " + hex(failure.code) + ")",
          "check the scheme, host and port of the proxy"};
}

Advice no_method(const ProxyFailure& failure) {
  if (failure.login_offered) {
    return {"it takes neither a user with a password nor a client without", "it may want GSSAPI, or another source"};
  }
  return {"it takes no client without a login", "put USER:PASSWORD@ before the proxy's host"};
}

Advice closed(const ProxyFailure& failure) {
  switch (failure.awaited) {
    case Awaited::method:
      return {"it closed the connection without a word", "check that it speaks SOCKS, and lets this host in"};
    case Awaited::login:
      return {"it closed the connection at the login", "check the user and the password"};
    case Awaited::reply:
      return {"it closed the connection without answering " + std::string(standard_name(failure.command)),
              "some proxies do so to what they do not know"};
    case Awaited::peer:
      return {"it closed the connection before a peer came", ""};
  }
  return {};
}

}  // namespace

std::string_view standard_name(Command command) noexcept {
  switch (command) {
    case Command::connect:
      return "CONNECT";
    case Command::bind:
      return "BIND";
    case Command::udp_associate:
      return "UDP ASSOCIATE";
    case Command::ping:
      return "PING";
    case Command::traceroute:
      return "TRACEROUTE";
    case Command::resolve:
      return "RESOLVE";
    case Command::resolve_ptr:
      return "RESOLVE_PTR";
  }
  return {};
}

Advice explain(const ProxyFailure& failure) {
  switch (failure.fault) {
    case ProxyFault::no_such_command:
      return {std::string(protocol_name(failure.protocol)) + " has no " +
                  std::string(standard_name(failure.command)),
              "use socks5h:// or socks5://"};
    case ProxyFault::not_socks:
      return other_protocol(failure);
    case ProxyFault::no_method:
      return no_method(failure);
    case ProxyFault::method_not_offered:
      return {"it chose the authentication method " + hex(failure.code) + ", which was not offered",
              "do not trust this proxy"};
    case ProxyFault::login_refused:
      return {"it refused the user or the password", "check both"};
    case ProxyFault::refused:
      return refusal(failure);
    case ProxyFault::address_type:
      return {"its answer holds an address of the type " + hex(failure.code) + ", which SOCKS5 does not know", ""};
    case ProxyFault::closed:
      return closed(failure);
    case ProxyFault::lost:
      return {"the connection to it broke", "try again"};
    case ProxyFault::timed_out:
      return {"it did not answer in time", "check the scheme, host and port of the proxy"};
  }
  return {};
}

}  // namespace stile::session
