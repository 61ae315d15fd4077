#include "sim/http_conversation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "sim/http_actors.h"
#include "sim/places.h"

namespace stile::sim_test {
namespace {

constexpr std::size_t hosts = 2;

std::uint16_t host_port(std::size_t number, std::size_t host) {
  return static_cast<std::uint16_t>(42'000 + number * hosts + host);
}

int expected_status(const Ask& ask) {
  if (ask.place == Ask::Place::denied) return 403;
  return ask.place == Ask::Place::refused || ask.origin_silent ? 502 : 200;
}

/// The answer may come before the body was read.
bool leaves_body(const Ask& ask) {
  return ask.method == "POST" && (ask.early || ask.origin_silent || expected_status(ask) != 200);
}

/// Behind such an answer the client's connection cannot go on.
bool ends_connection(const Ask& ask) {
  return ask.down_framing == Framing::until_close || ask.origin_resets || leaves_body(ask);
}

/// A client that goes on sending more than the server discards is reset, and may lose the answer with that.
bool may_lose_answer(const Ask& ask) {
  return ask.origin_resets || (leaves_body(ask) && ask.up.size() + 100'000 > limits::reply_drain_octets_max);
}

std::string authority(Ask::Place place, std::size_t number, std::size_t host) {
  const std::string port = ":" + std::to_string(host_port(number, host));
  switch (place) {
    case Ask::Place::address:
      return origin_address.to_string() + port;
    case Ask::Place::name:
      return name_of("host", number) + port;
    case Ask::Place::refused:
      return origin_address.to_string() + ":9";
    case Ask::Place::denied:
      return denied_address.to_string();
  }
  return {};
}

Ask random_ask(engine::Prng& prng, std::size_t number) {
  const auto chance = [&](unsigned in) { return prng.next() % in == 0; };
  Ask ask;
  ask.place = chance(3) ? static_cast<Ask::Place>(prng.next() % 4) : Ask::Place::address;
  ask.method = chance(3) ? "POST" : chance(5) ? "HEAD" : "GET";
  ask.host = prng.next() % hosts;
  ask.authority = authority(ask.place, number, ask.host);
  if (ask.method == "POST") {
    ask.up = random_octets(prng);
    ask.up_framing = chance(2) ? Framing::chunked : Framing::length;
    ask.expects_continue = chance(4);
    ask.early = chance(6);
  }
  ask.down = random_octets(prng);
  ask.down_framing = static_cast<Framing>(prng.next() % 3);
  ask.origin_closes = chance(6);
  ask.origin_resets = chance(20) && ask.method != "HEAD";
  ask.origin_silent = chance(15) && !ask.origin_resets;
  return ask;
}

Visit random_visit(engine::Prng& prng, std::size_t number) {
  const auto chance = [&](unsigned in) { return prng.next() % in == 0; };
  Visit visit;
  const std::size_t wanted = 1 + prng.next() % 5;
  while (visit.asks.size() < wanted && (visit.asks.empty() || !ends_connection(visit.asks.back()))) {
    visit.asks.push_back(random_ask(prng, number));
  }
  visit.pipelined = chance(2);
  for (Ask& ask : visit.asks) {
    if (visit.pipelined) ask.expects_continue = false;  // who pipelines cannot wait for 100
  }
  if (chance(3)) visit.segment = 1 + prng.next() % 40;
  visit.slow = chance(6);
  visit.resets = chance(10);
  return visit;
}

class HttpConversation final : public Conversation {
 public:
  HttpConversation(const Surroundings& surroundings, Visit visit)
      : undisturbed_(surroundings.undisturbed), visit_(std::move(visit)), guest_(surroundings.engine, visit_) {
    for (std::size_t i = 0; i < hosts; ++i) {
      hosts_.push_back(std::make_unique<HttpHost>(surroundings.engine, visit_,
                                                  Endpoint{origin_address, host_port(surroundings.number, i)}));
    }
    add_name(surroundings.names, name_of("host", surroundings.number), {origin_address});
  }

  void begin() override { guest_.begin(); }
  [[nodiscard]] bool done() const override { return guest_.done(); }
  [[nodiscard]] std::string state() const override { return guest_.state(); }
  void close() override {
    guest_.close();
    for (const auto& host : hosts_) host->close_all();
  }
  [[nodiscard]] std::optional<std::string> complaint(const Ledger& ledger) const override;

 private:
  [[nodiscard]] std::optional<std::string> complaint_about(const Ask& ask, const Answer& answer) const;
  [[nodiscard]] std::optional<std::string> complaint_about_answers() const;
  [[nodiscard]] std::optional<std::string> complaint_about_requests() const;
  [[nodiscard]] std::optional<std::string> complaint_about_records(const std::vector<Ledger::Entry>& records) const;

  bool undisturbed_;
  Visit visit_;
  mutable HttpGuest guest_;  // reads its last answer when it is asked
  std::vector<std::unique_ptr<HttpHost>> hosts_;
};

std::optional<std::string> HttpConversation::complaint(const Ledger& ledger) const {
  if (auto found = complaint_about_answers()) return found;
  if (auto found = complaint_about_requests()) return found;
  return complaint_about_records(ledger.of(guest_.local()));
}

std::optional<std::string> HttpConversation::complaint_about_answers() const {
  const std::vector<Answer>& answers = guest_.answers();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (const auto found = complaint_about(visit_.asks[i], answers[i])) {
      return "request " + std::to_string(i) + " (" + visit_.asks[i].method + "): " + *found;
    }
  }
  if (!undisturbed_ || visit_.resets) return std::nullopt;
  const auto expected = std::ranges::count_if(visit_.asks, [](const Ask& ask) { return !may_lose_answer(ask); });
  const auto complete = std::ranges::count_if(answers, &Answer::complete);
  if (complete >= expected) return std::nullopt;
  return std::to_string(complete) + " answers instead of " + std::to_string(expected) + " " + guest_.state();
}

std::optional<std::string> HttpConversation::complaint_about(const Ask& ask, const Answer& answer) const {
  if (answer.status == 200) {
    if (expected_status(ask) != 200) return "I2: an answer where none could be";
    if (!is_prefix(answer.body, ask.down)) return "I1: the body is not what the origin sent";
    // A body that ends with its connection is whole, or the connection was reset.
    const bool cut = answer.complete && ask.method != "HEAD" && answer.body != ask.down;
    return cut ? std::optional("I8: a part of a body passes for the whole") : std::nullopt;
  }
  if (!undisturbed_ || visit_.resets || ask.origin_resets || answer.status == expected_status(ask)) return std::nullopt;
  return "status " + std::to_string(answer.status) + " instead of " + std::to_string(expected_status(ask));
}

std::optional<std::string> HttpConversation::complaint_about_requests() const {
  std::map<std::size_t, int> times;
  for (const auto& host : hosts_) {
    for (const HttpHost::Request& request : host->requests()) {
      const Ask& ask = visit_.asks[request.index];
      const std::string which = ", request " + std::to_string(request.index);
      if (request.body != ask.up) return "I1: the origin received another body" + which;
      if (request.head.find("\r\nVia: 1.1 stile\r\n") == std::string::npos) return "the origin misses Via" + which;
      // What is not idempotent is never sent twice; what is, once more if a kept connection had ended.
      if (++times[request.index] > (ask.method == "POST" ? 1 : 2)) return "the origin was asked too often" + which;
    }
  }
  return std::nullopt;
}

std::optional<std::string> HttpConversation::complaint_about_records(const std::vector<Ledger::Entry>& records) const {
  std::size_t outcomes = 0;
  for (const Ledger::Entry& record : records) {
    if (record.event != observe::Event::session_start) ++outcomes;
    if (record.address && record.address->address != origin_address) {
      return "I3: dialled " + record.address->to_string();
    }
  }
  if (!undisturbed_ || visit_.resets || outcomes == visit_.asks.size()) return std::nullopt;
  return "I6: " + std::to_string(outcomes) + " outcomes of " + std::to_string(visit_.asks.size()) + " requests";
}

}  // namespace

std::unique_ptr<Conversation> make_http(const Surroundings& surroundings, engine::Prng& prng) {
  return std::make_unique<HttpConversation>(surroundings, random_visit(prng, surroundings.number));
}

}  // namespace stile::sim_test
