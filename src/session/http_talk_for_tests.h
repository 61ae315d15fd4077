// Drives an HttpExchange by hand, between a client and origins that follow a script. For tests and fuzzing only.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "session/http_exchange.h"

namespace stile::session {

/// What one connection to an origin says, a response for each request that comes on it, and how it ends.
struct HttpOriginScript {
  enum class End : std::uint8_t { stays, fin, reset };

  std::vector<std::string> responses;
  End end = End::stays;
  Reason refused = Reason::none;  // otherwise there is no connection at all
};

struct HttpScript {
  HttpRules rules;
  std::string client;
  bool client_fin = false;
  Reason login = Reason::none;            // otherwise every login is refused
  std::vector<HttpOriginScript> origins;  // in the order of their connections; more are refused
};

/// One conversation, played to its end: octets are delivered at most so many at a time, those of the client first. Two
/// conversations are equal when their results are.
class HttpTalk {
 public:
  struct Steps {
    std::size_t client = SIZE_MAX;
    std::size_t origin = SIZE_MAX;
    std::size_t takes = SIZE_MAX;  // what either side takes at a time
  };

  HttpTalk(const HttpScript& script, const Steps& steps) : script_(script), steps_(steps), exchange_(script.rules) {
    while (!over_ && advance()) {
    }
  }

  /// Everything that the client received.
  [[nodiscard]] const std::string& to_client() const noexcept { return to_client_; }
  /// Everything that each origin received.
  [[nodiscard]] const std::vector<std::string>& to_origins() const noexcept { return to_origins_; }
  /// What was asked of the driver, a line each: "open a.example:80", "reuse …", "settled none", "closing", …
  [[nodiscard]] const std::string& transcript() const noexcept { return transcript_; }
  [[nodiscard]] const HttpExchange& exchange() const noexcept { return exchange_; }

  friend bool operator==(const HttpTalk& left, const HttpTalk& right) {
    return left.to_client_ == right.to_client_ && left.to_origins_ == right.to_origins_ &&
           left.transcript_ == right.transcript_;
  }

 private:
  static ConstBytes octets_of(const std::string& text, std::size_t at, std::size_t count) {
    return ConstBytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size())
        .subspan(at, std::min(count, text.size() - at));
  }

  bool advance() { return deliver() || obey() || hear_client() || hear_origin() || end_client(); }

  bool deliver() {
    if (const ConstBytes octets = exchange_.to_client(); !octets.empty()) {
      const std::size_t taken = std::min(octets.size(), steps_.takes);
      to_client_.append(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(taken));
      exchange_.client_took(taken);
      return true;
    }
    if (const ConstBytes octets = exchange_.to_origin(); !octets.empty() && !to_origins_.empty()) {
      const std::size_t taken = std::min(octets.size(), steps_.takes);
      to_origins_.back().append(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(taken));
      exchange_.origin_took(taken);
      return true;
    }
    return false;
  }

  bool obey() {
    switch (exchange_.phase()) {
      case HttpPhase::authenticating:
        authenticate();
        return true;
      case HttpPhase::opening:
        open();
        return true;
      case HttpPhase::answering:
        note("settled", exchange_.reason());
        connected_ = connected_ && exchange_.keeps_origin();
        exchange_.settled();
        return true;
      case HttpPhase::tunnel:
        relay();
        [[fallthrough]];
      case HttpPhase::closing:
      case HttpPhase::silent:
      case HttpPhase::aborting:
        note(name(exchange_.phase()), exchange_.reason());
        over_ = true;
        return true;
      case HttpPhase::request:
      case HttpPhase::exchanging:
        return false;
    }
    return false;
  }

  // From here on octets pass as they are.
  void relay() {
    to_origins_.back().append(script_.client.substr(heard_));
    const HttpOriginScript& origin = script_.origins[next_origin_ - 1];
    if (response_ < origin.responses.size()) to_client_.append(origin.responses[response_].substr(said_));
  }

  // As the driver does it: an origin that says something while nothing is asked is not used again.
  [[nodiscard]] bool quiet() const {
    const HttpOriginScript& origin = script_.origins[next_origin_ - 1];
    return response_ >= origin.responses.size() || said_ == origin.responses[response_].size();
  }

  void authenticate() {
    transcript_ += "login " + exchange_.claimed_user()->name + ":" + std::string(exchange_.password().reveal()) + "\n";
    if (script_.login == Reason::none) {
      exchange_.authenticated();
    } else {
      exchange_.refused(script_.login);
    }
  }

  void open() {
    const std::string target = exchange_.target().to_string();
    const bool reuse = connected_ && target == target_ && quiet() && exchange_.may_reuse();
    transcript_ += (reuse ? "reuse " : "open ") + target + "\n";
    if (reuse) {
      ++response_;
      said_ = 0;
      return exchange_.opened(true);
    }
    connected_ = false;
    if (next_origin_ == script_.origins.size()) return exchange_.refused(Reason::dial_refused);
    const HttpOriginScript& origin = script_.origins[next_origin_++];
    if (origin.refused != Reason::none) return exchange_.refused(origin.refused);
    connected_ = true;
    target_ = target;
    response_ = said_ = 0;
    to_origins_.emplace_back();
    exchange_.opened(false);
  }

  bool hear_client() {
    if (!exchange_.reads_client() || heard_ == script_.client.size()) return false;
    const ConstBytes octets = octets_of(script_.client, heard_, steps_.client);
    heard_ += octets.size();
    exchange_.client_octets(octets);
    return true;
  }

  bool hear_origin() {
    if (!exchange_.reads_origin()) return false;
    const HttpOriginScript& origin = script_.origins[next_origin_ - 1];
    if (response_ < origin.responses.size() && said_ < origin.responses[response_].size()) {
      const ConstBytes octets = octets_of(origin.responses[response_], said_, steps_.origin);
      said_ += octets.size();
      exchange_.origin_octets(octets);
      return true;
    }
    if (response_ + 1 < origin.responses.size() || origin.end == HttpOriginScript::End::stays) return false;
    if (origin.end == HttpOriginScript::End::fin) {
      exchange_.origin_fin();
    } else {
      exchange_.origin_failed(Reason::reset_target);
    }
    return true;
  }

  bool end_client() {
    if (!script_.client_fin || !exchange_.reads_client()) return false;
    exchange_.client_fin();
    return true;
  }

  void note(std::string_view what, Reason reason) {
    transcript_.append(what).append(" ").append(token(reason)).append("\n");
  }

  HttpScript script_;
  Steps steps_;
  HttpExchange exchange_;
  std::string to_client_;
  std::vector<std::string> to_origins_;
  std::string transcript_;
  std::string target_;  // of the open origin
  std::size_t heard_ = 0;
  std::size_t next_origin_ = 0;
  std::size_t response_ = 0;  // of the open origin's
  std::size_t said_ = 0;      // of that response
  bool connected_ = false;
  bool over_ = false;
};

}  // namespace stile::session
