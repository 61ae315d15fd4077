// The client's side of a SOCKS handshake in the simulation, or of HTTP's CONNECT: it writes greeting and request at its
// own pace and reads the replies. What it does then, each command's client says. Tested by what it is for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "sim/talker.h"

namespace stile::sim_test {

enum class Version : std::uint8_t { http = 1, socks4 = 4, socks5 = 5 };
enum class Command : std::uint8_t { connect = 1, bind = 2, associate = 3 };

/// A request, without SOCKS5's greeting. SOCKS4 takes IPv4 addresses and names only, HTTP no command but CONNECT.
[[nodiscard]] std::string request(Version version, Command command, const Address& address, std::uint16_t port);
[[nodiscard]] std::string request(Version version, Command command, const std::string& name, std::uint16_t port);

struct Reply {
  int code;        // 0: granted; else REP, CD or HTTP's status, 502 where it is 504: both mean a target out of reach
  Endpoint bound;  // HTTP has none
};

class SocksClient : public Talker {
 public:
  struct Manner {
    bool ipv6 = false;  // the client's own family
    Version version = Version::socks5;
    std::string user{};  // with a password, it offers nothing else; SOCKS5 only
    std::string password{};
    std::string request;
    std::string early;            // behind the request at once
    std::size_t segment = 65536;  // the client writes at most this much at a time
    Duration pause{};             // between the segments of its handshake
  };

  SocksClient(engine::SimEngine& engine, Manner manner);
  void begin();
  /// The reply of this index, once it came whole; BIND has two.
  [[nodiscard]] std::optional<Reply> reply(std::size_t index = 0) const;
  /// Of that reply: -1 before it came.
  [[nodiscard]] int code(std::size_t index = 0) const {
    const auto found = reply(index);
    return found ? found->code : -1;
  }
  /// What came behind so many replies.
  [[nodiscard]] std::string payload(std::size_t replies = 1) const;

 protected:
  /// The handshake was written: what next? Called like Talker::step.
  virtual void proceed() = 0;

 private:
  void step() final;
  [[nodiscard]] std::optional<std::size_t> reply_begin(std::size_t index) const;
  [[nodiscard]] std::optional<std::size_t> reply_octets(std::size_t begin) const;

  Manner manner_;
  std::string handshake_;
  std::size_t sent_ = 0;  // of the handshake
};

/// The code that a client of `version` is told where SOCKS5 says `code`; -1 stays -1.
[[nodiscard]] int code_for(Version version, int code);

}  // namespace stile::sim_test
