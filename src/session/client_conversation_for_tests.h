// Drives a ClientSession by hand: a proxy's octets in, a transcript of what the session did out. For tests and fuzzing
// only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <variant>

#include "session/client_session.h"

namespace stile::session {

/// A proxy whose words are known beforehand, given in pieces of `step` octets. Two conversations are equal when their
/// transcripts are, and what each left unread.
class ClientConversation {
 public:
  ClientConversation(const ProxyRequest& request, ConstBytes from_proxy, std::size_t step)
      : session_(request), rest_(from_proxy), step_(step) {
    handle(ClientSession::Connected{});
    while (reading_ != 0 && !rest_.empty()) receive();
  }

  void handle(const ClientSession::Event& event) {
    reading_ = 0;
    for (const ClientSession::Action& action : session_.handle(event)) {
      std::visit([this](const auto& kind) { perform(kind); }, action);
    }
  }

  [[nodiscard]] bool over() const noexcept { return session_.phase() == ClientPhase::over; }
  [[nodiscard]] const ClientSession& session() const noexcept { return session_; }
  /// What the session did, in order: "send 05 01 00", "peer may come to …", "finish …", "fail".
  [[nodiscard]] const std::string& transcript() const noexcept { return transcript_; }
  /// What it sent, message behind message.
  [[nodiscard]] const std::string& sent() const noexcept { return sent_; }
  /// What it never read.
  [[nodiscard]] ConstBytes rest() const noexcept { return rest_; }

 private:
  void receive() {
    const std::size_t octets = std::min({reading_, step_, rest_.size()});
    const ConstBytes piece = rest_.first(octets);
    rest_ = rest_.subspan(octets);
    handle(ClientSession::Received{piece});
  }

  void perform(const ClientSession::Send& send) {
    sent_.append(send.octets.begin(), send.octets.end());
    transcript_ += "send";
    for (const std::uint8_t octet : send.octets) transcript_ += " " + std::to_string(octet);
    transcript_ += "\n";
  }
  void perform(const ClientSession::Protect&) { transcript_ += "protect\n"; }
  void perform(const ClientSession::Read& read) { reading_ = read.octets_max; }
  void perform(const ClientSession::AwaitPeer&) { transcript_ += "peer may come to " + bound() + "\n"; }
  void perform(const ClientSession::Finish&) { transcript_ += "finish " + bound() + "\n"; }
  void perform(const ClientSession::Fail&) { transcript_ += "fail: " + explain(session_.failure()).why + "\n"; }

  [[nodiscard]] std::string bound() const {
    const auto target = session_.bound().target();
    return target ? target->to_string() : "no host";
  }

  ClientSession session_;
  ConstBytes rest_;
  std::size_t step_;
  std::size_t reading_ = 0;
  std::string transcript_;
  std::string sent_;
};

}  // namespace stile::session
