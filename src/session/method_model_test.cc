// Who gets in: every listener's methods × every list that a client offers × messages in any order, held equal to a
// deliberately naive model that reads the whole stream at once. Nobody enters unauthenticated by skipping, repeating,
// pipelining or interleaving (threats TA1 and TA2; the protocol reference, section 2.1).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "session/conversation_for_tests.h"
#include "session/http_talk_for_tests.h"

namespace stile::session {
namespace {

using Octets = std::string;
using Methods = std::vector<AuthMethod>;

Octets octets(std::initializer_list<int> values) {
  Octets text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

ConstBytes bytes(const Octets& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

const Octets request = octets({5, 1, 0, 1, 192, 0, 2, 10, 0, 80});
const Octets login = octets({1, 5}) + "alice" + octets({6}) + "secret";
const Octets socks4 = octets({4, 1, 0, 80, 192, 0, 2, 10, 'b', 0});
const Octets http = "CONNECT 192.0.2.10:80 HTTP/1.1\r\nHost: 192.0.2.10:80\r\n\r\n";
const Octets ticket{Conversation::ticket};
const Octets hello = octets({0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5});

Octets greeting(const std::vector<int>& offered) {
  Octets text = octets({5, static_cast<int>(offered.size())});
  for (const int method : offered) text += static_cast<char>(method);
  return text;
}

// ── what is enumerated ──────────────────────────────────────────────────────────────────────────────────────────────

/// Every ordered subset of all methods but the empty one; those that `check` refuses among them.
std::vector<Methods> all_configurations() {
  std::vector<Methods> found{{}};
  for (std::size_t at = 0; at < found.size(); ++at) {
    for (std::size_t i = 0; i < auth_method_count; ++i) {
      const auto method = static_cast<AuthMethod>(i);
      Methods longer = found[at];
      if (std::ranges::find(longer, method) != longer.end()) continue;
      longer.push_back(method);
      found.push_back(longer);
    }
  }
  found.erase(found.begin());
  return found;
}

/// One for each way in which a client can tell them apart: who judges a password is not its affair.
std::vector<Methods> configurations_by_wire() {
  std::vector<Methods> some;
  for (const Methods& one : all_configurations()) {
    const auto other_judge = [](AuthMethod method) { return judges_passwords(method) && method != AuthMethod::pam; };
    if (std::ranges::none_of(one, other_judge)) some.push_back(one);
  }
  return some;
}

/// Every subset of the methods that clients offer, upwards, downwards, and each of it twice.
std::vector<std::vector<int>> offered_lists() {
  constexpr std::array methods{0x00, 0x01, 0x02, 0x80, 0xFF};
  std::vector<std::vector<int>> lists;
  for (unsigned subset = 1; subset < 1U << methods.size(); ++subset) {
    std::vector<int> list;
    for (std::size_t i = 0; i < methods.size(); ++i) {
      if ((subset >> i & 1U) != 0) list.push_back(methods[i]);
    }
    lists.push_back(list);
    lists.emplace_back(list.rbegin(), list.rend());
    lists.push_back(list);
    lists.back().insert(lists.back().end(), list.begin(), list.end());
  }
  return lists;
}

/// Every sequence of at most so many of these messages.
std::vector<Octets> sequences(const std::vector<Octets>& messages, std::size_t length_max) {
  std::vector<Octets> found{{}};
  std::size_t begin = 0;
  for (std::size_t length = 1; length <= length_max; ++length) {
    const std::size_t end = found.size();
    for (std::size_t at = begin; at < end; ++at) {
      for (const Octets& message : messages) found.push_back(found[at] + message);
    }
    begin = end;
  }
  return found;
}

// ── the model ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// What a listener does with a whole stream, written down as Conversation does.
class Model {
 public:
  Model(const Methods& configured, bool provider_accepts, const Octets& stream)
      : configured_(configured), provider_accepts_(provider_accepts), rest_(stream) {
    if (rest_.empty()) return;
    if (rest_[0] == 5) {
      answer_socks5();
    } else if (rest_[0] == 4) {
      answer_socks4();
    } else if (rest_[0] == 'C') {
      text_ += "http\n";
    } else {
      text_ += "close proto.unknown silently\n";
    }
  }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::string& user() const { return user_; }
  /// Somebody who is in sent a greeting, which is read as a request: what becomes of that is not told.
  [[nodiscard]] bool open_ended() const { return open_ended_; }

 private:
  [[nodiscard]] bool configured(AuthMethod method) const {
    return std::ranges::find(configured_, method) != configured_.end();
  }
  [[nodiscard]] int at(std::size_t index) const { return static_cast<std::uint8_t>(rest_[index]); }

  void enter_without_password() { user_ = configured(AuthMethod::certificate) ? "cert:alice" : ""; }

  /// The first that is configured and was offered.
  [[nodiscard]] int choose(const Octets& offered) const {
    for (const AuthMethod method : configured_) {
      const int code = method == AuthMethod::gssapi ? 1 : judges_passwords(method) ? 2 : 0;
      if (offered.find(static_cast<char>(code)) != Octets::npos) return code;
    }
    return 0xFF;
  }

  void answer_socks5() {
    const auto count = static_cast<std::size_t>(at(1));
    const int chosen = choose(rest_.substr(2, count));
    rest_ = rest_.substr(2 + count);
    text_ += "send 5 " + std::to_string(chosen) + "\n";
    if (chosen == 0xFF) {
      text_ += "close method.none after the reply\n";
    } else if (chosen == 0) {
      text_ += "authenticate\n";
      enter_without_password();
      answer_request();
    } else if (chosen == 1) {
      answer_ticket();
    } else {
      answer_login();
    }
  }

  void answer_ticket() {
    if (rest_.size() < ticket.size()) return;
    text_ += "encapsulate\n";
    if (!rest_.starts_with(ticket)) {
      text_ += "close gss.order after the reply\n";
      return;
    }
    rest_ = rest_.substr(ticket.size());
    user_ = "alice@REALM";
    answer_request();
  }

  void answer_login() {
    if (rest_.empty()) return;
    if (rest_.starts_with(ticket)) {
      // By its octets a login too, of a name that nobody can be asked about.
      text_ += "send 1 1\nclose auth.failed after the reply\n";
      return;
    }
    if (!rest_.starts_with(login)) {  // whole messages only come: it is another one
      text_ += "close auth.version silently\n";
      return;
    }
    rest_ = rest_.substr(login.size());
    text_ += "authenticate alice:secret\n";
    text_ += provider_accepts_ ? "send 1 0\n" : "send 1 1\nclose auth.failed after the reply\n";
    if (!provider_accepts_) return;
    user_ = "alice";
    answer_request();
  }

  void answer_request() {
    if (rest_.empty()) return;
    if (rest_[0] != 5) {
      text_ += "close request.version silently\n";
    } else if (rest_.starts_with(request)) {
      text_ += "authorise tcp 192.0.2.10:80\nconnect 192.0.2.10:80\nsend 5 0 0 1 198 51 100 7 156 64\nrelay\n";
    } else {
      open_ended_ = true;
    }
  }

  void answer_socks4() {
    if (!configured(AuthMethod::none) && !configured(AuthMethod::certificate)) {
      text_ += "close proto.off silently\n";
      return;
    }
    enter_without_password();
    text_ += "authorise tcp 192.0.2.10:80\nconnect 192.0.2.10:80\nsend 0 90 156 64 198 51 100 7\nrelay\n";
  }

  Methods configured_;
  bool provider_accepts_;
  Octets rest_;
  std::string text_;
  std::string user_;
  bool open_ended_ = false;
};

SessionRules rules_of(const Methods& configured) {
  SessionRules rules;
  rules.auth = {};
  for (const AuthMethod method : configured) rules.auth.add(method);
  // Where a certificate counts, TLS is not optional (config: client_ca).
  if (rules.auth.admits(AuthMethod::certificate)) rules.tls = wire::TlsUse::required;
  return rules;
}

/// The stream in pieces of so many octets; what comes behind the handshake is what counts.
std::string play(Conversation& conversation, const SessionRules& rules, const Octets& stream, std::size_t piece) {
  if (rules.tls == wire::TlsUse::required) conversation.arrive(bytes(hello));
  for (std::size_t at = 0; at < stream.size() && !conversation.over(); at += piece) {
    conversation.arrive(bytes(stream).subspan(at, std::min(piece, stream.size() - at)));
  }
  const std::string& text = conversation.transcript();
  return rules.tls == wire::TlsUse::required ? text.substr(std::string_view("protect\n").size()) : text;
}

/// Nobody is decided about before it is known who it is.
void expect_order(const std::string& text, bool socks5) {
  const std::size_t decided = text.find("authorise");
  if (decided == std::string::npos || !socks5) return;
  const bool by_ticket = text.starts_with("send 5 1\n");
  EXPECT_LT(text.find(by_ticket ? "encapsulate" : "authenticate"), decided);
  const bool by_password = text.starts_with("send 5 2\n");
  EXPECT_EQ(by_password, text.find("send 1 0\n") < decided);
}

void compare(const Methods& configured, bool accepts, const Octets& stream, std::size_t piece) {
  const SessionRules rules = rules_of(configured);
  Conversation conversation(
      {.certificate = "cert:alice", .authenticated = accepts ? Reason::none : Reason::auth_failed}, rules);
  const std::string text = play(conversation, rules, stream, piece);
  const Model model(configured, accepts, stream);
  EXPECT_EQ(model.open_ended() ? text.substr(0, model.text().size()) : text, model.text());
  if (text.find("authorise") != std::string::npos) {
    EXPECT_EQ(conversation.session().identity()->user(), model.user());
  }
  expect_order(text, stream.starts_with('\5'));
}

std::string described(const Methods& configured, const Octets& stream) {
  std::string text;
  for (const AuthMethod method : configured) text += std::string(name(method)) + " ";
  text += "<-";
  for (const char octet : stream) text += " " + std::to_string(static_cast<std::uint8_t>(octet));
  return text;
}

// ── the tests ───────────────────────────────────────────────────────────────────────────────────────────────────────

constexpr std::size_t whole = SIZE_MAX;

TEST(MethodModel, TheFirstConfiguredMethodThatWasOfferedIsChosen) {
  const auto lists = offered_lists();
  for (const Methods& configured : all_configurations()) {
    for (const auto& offered : lists) {
      for (const Octets& proof : {login, ticket}) {
        const Octets stream = greeting(offered) + proof + request;
        compare(configured, true, stream, whole);
        ASSERT_FALSE(testing::Test::HasFailure()) << described(configured, stream);
      }
    }
  }
}

TEST(MethodModel, NoOrderOfMessagesLetsAnybodyIn) {
  std::vector<Octets> streams;
  for (const std::vector<int>& offered :
       {std::vector<int>{0}, {2}, {0, 2}, {2, 0}, {1, 0x80, 0xFF}, {0, 1, 2, 0x80, 0xFF}}) {
    const auto more = sequences({greeting(offered), login, ticket, request, socks4, http}, 3);
    streams.insert(streams.end(), more.begin(), more.end());
  }
  for (const Methods& configured : configurations_by_wire()) {
    for (const Octets& stream : streams) {
      for (const bool accepts : {true, false}) {
        for (const std::size_t piece : {whole, std::size_t{1}, std::size_t{7}})
          compare(configured, accepts, stream, piece);
      }
      ASSERT_FALSE(testing::Test::HasFailure()) << described(configured, stream);
    }
  }
}

TEST(MethodModel, NothingIsSaidInPlainWhereACertificateIsDue) {
  for (const Methods& configured : configurations_by_wire()) {
    const SessionRules rules = rules_of(configured);
    if (rules.tls != wire::TlsUse::required) continue;
    for (const Octets& first : {greeting({0, 2}), request, socks4, http}) {
      Conversation conversation({}, rules);
      conversation.arrive(bytes(first + login + request));
      EXPECT_EQ(conversation.transcript(), "close tls.missing silently\n");
    }
  }
}

// Each request stands for itself, on a connection that carries several.
TEST(MethodModel, NoHttpRequestIsOpenedWithoutItsOwnLogin) {
  const std::string line = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n";
  const std::string right = "Proxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
  const std::vector<Octets> messages{line + "\r\n",
                                     line + right + "\r\n",
                                     line + "Proxy-Authorization: Negotiate YQ==\r\n\r\n",
                                     line + right + right + "\r\n",
                                     http,
                                     login,
                                     greeting({0}) + request};
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  const HttpOriginScript origin{.responses = {answer, answer, answer}};
  for (const Methods& configured : configurations_by_wire()) {
    const AuthMethods auth = rules_of(configured).auth;
    for (const Octets& stream : sequences(messages, 3)) {
      for (const Reason verdict : {Reason::none, Reason::auth_failed}) {
        const HttpTalk talk(
            {.rules = {.auth = auth}, .client = stream, .login = verdict, .origins = {origin, origin, origin}}, {});
        bool known = false;
        std::size_t begin = 0;
        for (std::size_t end = 0; (end = talk.transcript().find('\n', begin)) != std::string::npos; begin = end + 1) {
          const std::string_view what = std::string_view(talk.transcript()).substr(begin, end - begin);
          if (what.starts_with("settled")) known = false;
          if (what.starts_with("login ")) known = verdict == Reason::none;
          if (!what.starts_with("open ") && !what.starts_with("reuse ")) continue;
          ASSERT_TRUE(known || auth.admits_without_password()) << stream << talk.transcript();
        }
      }
    }
  }
}

}  // namespace
}  // namespace stile::session
