// Drives a ServerSession by hand: octets in, a transcript of what it asked for out. For tests and fuzzing only.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "session/identities_for_tests.h"
#include "session/server_session.h"

namespace stile::session {

/// Answers every question a session asks, at once, and writes down what it did. Two conversations are equal when their
/// transcripts are.
class Conversation {
 public:
  struct Answers {
    Reason protection = Reason::none;
    std::string certificate = {};         // the name in it; empty: the client has shown none
    Reason authenticated = Reason::none;  // to clients with a password: otherwise Failed
    Reason authorised = Reason::none;
    Reason performed = Reason::none;  // otherwise Failed
    Target bound{Address::v4(198, 51, 100, 7), 40000};
  };

  explicit Conversation(const Answers& answers, const SessionRules& rules = {}) : answers_(answers), session_(rules) {
    perform(ServerSession::begin());
  }
  /// Of a client whose connection was diverted.
  Conversation(const Answers& answers, const Target& diverted) : answers_(answers), session_(SessionRules{}) {
    handle(Diverted{diverted});
  }

  /// What a client of RFC 1961 sends here, in the place of its context and level.
  static constexpr std::string_view ticket{"\x01\x01\x00\x01\x60", 5};

  [[nodiscard]] bool reading() const noexcept { return reading_; }
  [[nodiscard]] bool over() const noexcept { return session_.phase() == Phase::over; }
  [[nodiscard]] const ServerSession& session() const noexcept { return session_; }
  [[nodiscard]] const std::string& sent() const noexcept { return sent_; }

  /// What the session did, in order: "send …", "authorise …", "relay …", "close …".
  [[nodiscard]] const std::string& transcript() const noexcept { return transcript_; }
  /// What the target received before the relay read anything itself: early data and what was never read. So, too, what
  /// an HTTP exchange begins with.
  [[nodiscard]] std::string target_receives() const { return relaying_ ? early_ + unread_ : std::string(); }

  /// PING and TRACEROUTE: the octet that ends them came, with the request or behind it.
  [[nodiscard]] bool end_asked() const { return probing_ && (end_asked_ || !unread_.empty()); }

  /// Octets as they arrive; what the session does not ask for stays in the socket.
  void arrive(ConstBytes octets) {
    if (session_.phase() == Phase::encapsulation) {
      encapsulated_.append(octets.begin(), octets.end());
      return encapsulate();
    }
    if (!reading_) {
      unread_.append(octets.begin(), octets.end());
      return;
    }
    reading_ = false;
    handle(Received{octets});
  }

  void handle(const Event& event) { perform(session_.handle(Duration::zero(), event)); }

 private:
  void perform(const Actions& actions) {
    std::optional<Event> next;
    for (const Action& action : actions) {
      std::visit([&](const auto& kind) { perform(kind, next); }, action);
    }
    if (next) handle(*next);
    if (!next && session_.phase() == Phase::encapsulation) encapsulate();
  }

  void perform(const ReadMore&, std::optional<Event>&) { reading_ = true; }
  void perform(const Send& send, std::optional<Event>&) {
    sent_.append(send.octets.begin(), send.octets.end());
    transcript_ += "send";
    for (const std::uint8_t octet : send.octets) transcript_ += " " + std::to_string(octet);
    transcript_ += "\n";
  }
  /// A ticket stands for all of RFC 1961; what comes behind it is plain to the session.
  void encapsulate() {
    if (encapsulated_.size() < ticket.size()) return;
    transcript_ += "encapsulate\n";
    if (!encapsulated_.starts_with(ticket)) return handle(Failed{Reason::gss_order});
    const std::string behind = encapsulated_.substr(ticket.size());
    handle(Protected{auth::Authenticator::make("alice@REALM"),
                     {reinterpret_cast<const std::uint8_t*>(behind.data()), behind.size()}});
  }
  void perform(const Protect& protect, std::optional<Event>& next) {
    if (protect.by == Protect::By::gssapi) {
      encapsulated_.assign(protect.received.begin(), protect.received.end());
      return;  // further octets are the transform's
    }
    transcript_ += "protect\n";
    if (answers_.protection == Reason::none) {
      next = Protected{answers_.certificate.empty() ? std::nullopt
                                                    : std::optional(auth::Authenticator::make(answers_.certificate))};
    } else {
      next = Failed{answers_.protection};
    }
  }
  void perform(const Authenticate& authenticate, std::optional<Event>& next) {
    transcript_ += "authenticate";
    if (authenticate.password == nullptr) {
      next = Authenticated{session_.without_credentials()};
    } else {
      transcript_.append(" ").append(authenticate.user).append(":").append(authenticate.password->reveal());
      if (answers_.authenticated == Reason::none) {
        next = Authenticated{auth::Authenticator::make(std::string(authenticate.user))};
      } else {
        next = Failed{answers_.authenticated};
      }
    }
    transcript_ += "\n";
  }
  void perform(const Authorise& authorise, std::optional<Event>& next) {
    transcript_ += "authorise " + std::string(policy::name(authorise.command)) + " " + text(authorise.target) + "\n";
    next = Authorised{answers_.authorised};
  }
  void perform(const Connect& connect, std::optional<Event>& next) { answer("connect", connect.target, next); }
  void perform(const Listen& listen, std::optional<Event>& next) { answer("listen for", listen.expected, next); }
  void perform(const Associate& associate, std::optional<Event>& next) { answer("associate", associate.claimed, next); }
  void perform(const Resolve& resolve, std::optional<Event>& next) {
    answer(resolve.reverse ? "resolve name of" : "resolve", resolve.target, next);
  }
  void perform(const Probe& probe, std::optional<Event>& next) { answer("probe", probe.target, next); }
  void perform(const StartAssociation&, std::optional<Event>&) { transcript_ += "association\n"; }
  void perform(const StartProbes& start, std::optional<Event>&) {
    transcript_ += "probes\n";
    probing_ = true;
    end_asked_ = start.end_asked;
  }
  void answer(std::string_view what, const Target* target, std::optional<Event>& next) {
    transcript_ += std::string(what) + " " + text(target) + "\n";
    if (answers_.performed == Reason::none) {
      next = Granted{answers_.bound};
    } else {
      next = Failed{answers_.performed};
    }
  }
  [[nodiscard]] static std::string text(const Target* target) {
    return target == nullptr ? "anything" : target->to_string();
  }
  void perform(const StartRelay& relay, std::optional<Event>&) {
    early_.assign(relay.early.begin(), relay.early.end());
    relaying_ = true;
    transcript_ += "relay\n";
  }
  void perform(const StartHttp& http, std::optional<Event>&) {
    early_.assign(http.octets.begin(), http.octets.end());
    relaying_ = true;
    transcript_ += "http\n";
  }
  void perform(const Close& close, std::optional<Event>&) {
    transcript_ += "close " + std::string(token(close.reason));
    transcript_ += close.how == Close::How::silent ? " silently\n" : " after the reply\n";
  }

  Answers answers_;
  ServerSession session_;
  std::string transcript_;
  std::string sent_;
  std::string early_;
  std::string unread_;
  std::string encapsulated_;
  bool reading_ = false;
  bool relaying_ = false;
  bool probing_ = false;
  bool end_asked_ = false;
};

}  // namespace stile::session
