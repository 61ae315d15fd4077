#include "sim/http_actors.h"

#include <algorithm>
#include <utility>

#include "sim/places.h"

namespace stile::sim_test {
namespace {

using Bystander = engine::SimEngine::Bystander;
constexpr auto slowness = std::chrono::seconds(2);

std::string field(const std::string& head, const std::string& name) {
  const std::size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + name.size() + 4;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

std::string hexadecimal(std::size_t number) {
  std::string text;
  do {
    text.insert(text.begin(), "0123456789abcdef"[number % 16]);
    number /= 16;
  } while (number > 0);
  return text;
}

/// What a body was as far as it came; `end` stands behind its last octet.
struct Body {
  std::string octets;
  std::size_t end = 0;
  bool complete = false;
};

/// Looking is cheap, and is done at each step; the octets are wanted once.
enum class Want : std::uint8_t { end, octets };

Body chunks(const std::string& text, std::size_t at, Want want) {
  Body body{{}, at, false};
  for (;;) {
    const std::size_t line = text.find("\r\n", body.end);
    if (line == std::string::npos) return body;
    const std::size_t size = std::stoul(text.substr(body.end, line - body.end), nullptr, 16);
    if (size == 0) {
      body.complete = text.size() >= line + 4;
      body.end = line + 4;
      return body;
    }
    if (want == Want::octets) body.octets += text.substr(line + 2, size);
    if (text.size() < line + 2 + size + 2) return body;
    body.end = line + 2 + size + 2;
  }
}

Body body_behind(const std::string& text, std::size_t at, const std::string& head, bool until_close, Want want) {
  const auto copy = [&](std::size_t size) { return want == Want::octets ? text.substr(at, size) : std::string(); };
  if (!field(head, "Transfer-Encoding").empty()) return chunks(text, at, want);
  const std::string length = field(head, "Content-Length");
  if (length.empty() && until_close) return {copy(text.size()), text.size(), false};
  const std::size_t size = length.empty() ? 0 : std::stoul(length);
  return {copy(size), at + size, text.size() >= at + size};
}

}  // namespace

// Chunks of growing size, so that small and large ones are there.
std::string framed(const std::string& body, Framing framing) {
  if (framing != Framing::chunked) return body;
  std::string text;
  std::size_t size = 1;
  for (std::size_t at = 0; at < body.size(); at += size, size = size * 3 + 1) {
    const std::string chunk = body.substr(at, size);
    text += hexadecimal(chunk.size()) + "\r\n" + chunk + "\r\n";
  }
  return text + "0\r\n\r\n";
}

// ── HttpGuest ───────────────────────────────────────────────────────────────────────────────────────────────────────

HttpGuest::HttpGuest(engine::SimEngine& engine, const Visit& visit) : Talker(engine), visit_(visit) {
  segment_ = visit.segment;
}

void HttpGuest::begin() {
  connect(client_address, server_endpoint);
}

std::string HttpGuest::head_of(const Ask& ask, std::size_t index) const {
  std::string head = ask.method + " http://" + ask.authority + "/" + std::to_string(index) +
                     " HTTP/1.1\r\nHost: " + ask.authority + "\r\n";
  if (ask.method == "POST") {
    head += ask.up_framing == Framing::chunked ? "Transfer-Encoding: chunked\r\n"
                                               : "Content-Length: " + std::to_string(ask.up.size()) + "\r\n";
  }
  if (ask.expects_continue) head += "Expect: 100-continue\r\n";
  return head + "\r\n";
}

void HttpGuest::ask_next() {
  const Ask& ask = visit_.asks[asked_];
  write(head_of(ask, asked_++));
  body_due_ = ask.expects_continue;
  if (ask.method == "POST" && !body_due_) write(framed(ask.up, ask.up_framing));
}

void HttpGuest::step() {
  if (asleep()) return;
  if (visit_.slow && !slept_) {
    slept_ = true;
    ask_next();
    reading_ = false;
    return sleep(slowness);
  }
  reading_ = true;
  if (visit_.resets && seen().octets.size() > 20'000) return reset();
  if (body_due_ && seen().octets.find("HTTP/1.1 100 ", at_) != std::string::npos) {
    body_due_ = false;
    write(framed(visit_.asks[asked_ - 1].up, visit_.asks[asked_ - 1].up_framing));
  }
  while (take_answer(false)) {
  }
  while (asked_ < visit_.asks.size() && (visit_.pipelined || answers_.size() == asked_)) ask_next();
  if (seen().fin || answers_.size() == visit_.asks.size()) write_fin();
}

/// Takes the next answer if it is whole; the last one, at the end, as far as it came.
bool HttpGuest::take_answer(bool at_the_end) {
  const std::string& text = seen().octets;
  const std::size_t end = text.find("\r\n\r\n", at_);
  if (end == std::string::npos || answers_.size() == visit_.asks.size()) return false;
  const std::string head = text.substr(at_, end + 2 - at_);
  Answer answer;
  answer.status = std::stoi(head.substr(9, 3));
  if (answer.status == 100) {
    at_ = end + 4;
    return true;
  }
  const bool bodiless = visit_.asks[answers_.size()].method == "HEAD";
  const bool until_close = field(head, "Content-Length").empty() && field(head, "Transfer-Encoding").empty();
  const auto body_as = [&](Want want) {
    return bodiless ? Body{{}, end + 4, true} : body_behind(text, end + 4, head, true, want);
  };
  const bool ended = until_close && seen().fin && !seen().failed;
  if (!body_as(Want::end).complete && !ended && !at_the_end) return false;
  const Body body = body_as(Want::octets);
  answer.body = body.octets;
  answer.complete = body.complete || ended;
  at_ = body.end;
  answers_.push_back(std::move(answer));
  return answers_.back().complete;
}

const std::vector<Answer>& HttpGuest::answers() {
  while (take_answer(true)) {
  }
  return answers_;
}

// ── HttpHost ────────────────────────────────────────────────────────────────────────────────────────────────────────

class HttpHost::Server final : public Talker {
 public:
  Server(HttpHost& host, engine::SimEngine& engine) : Talker(engine), host_(host) {}

  [[nodiscard]] engine::Socket& socket() noexcept { return socket_; }
  void begin() { act(); }

 private:
  void step() override {
    if (resetting_) return reset();
    while (!ended_ && take_request()) {
    }
    if (seen().fin) write_fin();
  }

  // True when a request was taken from what has come, and others may follow.
  bool take_request() {
    const std::string& text = seen().octets;
    const std::size_t end = text.find("\r\n\r\n", at_);
    if (end == std::string::npos) return false;
    const std::string head = text.substr(at_, end + 2 - at_);
    const std::size_t index = std::stoul(head.substr(head.find('/') + 1));
    const Ask& ask = host_.visit_.asks[index];
    const Body body = body_behind(text, end + 4, head, false, Want::end);
    if (!answered_ && (body.complete || ask.early || ask.expects_continue)) {
      if (ask.expects_continue && !body.complete && !ask.early) {
        if (!std::exchange(continued_, true)) write("HTTP/1.1 100 Continue\r\n\r\n");
        return false;
      }
      answered_ = true;
      answer(ask);
    }
    if (!body.complete) return false;
    host_.requests_.push_back({index, body_behind(text, end + 4, head, false, Want::octets).octets, head});
    at_ = body.end;
    answered_ = continued_ = false;
    return true;
  }

  void answer(const Ask& ask) {
    ended_ = ask.origin_silent || ask.origin_closes || ask.origin_resets || ask.down_framing == Framing::until_close;
    if (ask.origin_silent) return write_fin();
    std::string head = "HTTP/1.1 200 OK\r\n";
    if (ask.down_framing == Framing::chunked) head += "Transfer-Encoding: chunked\r\n";
    if (ask.down_framing == Framing::length) head += "Content-Length: " + std::to_string(ask.down.size()) + "\r\n";
    if (ended_ && ask.down_framing != Framing::until_close) head += "Connection: close\r\n";
    const std::string body = ask.method == "HEAD" ? std::string() : framed(ask.down, ask.down_framing);
    if (ask.origin_resets) {
      write(head + "\r\n" + body.substr(0, body.size() / 2));
      resetting_ = true;
      return sleep(slowness);
    }
    write(head + "\r\n" + body);
    if (ended_) write_fin();
  }

  HttpHost& host_;
  std::size_t at_ = 0;  // where the next request begins
  bool answered_ = false;
  bool continued_ = false;
  bool ended_ = false;
  bool resetting_ = false;
};

HttpHost::HttpHost(engine::SimEngine& engine, const Visit& visit, const Endpoint& at) : engine_(engine), visit_(visit) {
  const Bystander bystander(engine_);
  listener_.bind<&HttpHost::on_accept>(this);
  STILE_ASSERT(engine_.listen(listener_, at, {}).has_value());
  engine_.wait(listener_, engine::Interest::readable);
}

HttpHost::~HttpHost() = default;

void HttpHost::on_accept(engine::Status) {
  const Bystander bystander(engine_);
  while (listener_.is_open()) {
    auto server = std::make_unique<Server>(*this, engine_);
    if (!engine_.try_accept(listener_, server->socket())) break;
    servers_.push_back(std::move(server));
    servers_.back()->begin();
  }
  if (listener_.is_open()) engine_.wait(listener_, engine::Interest::readable);
}

void HttpHost::close_all() {
  for (const auto& server : servers_) server->close();
  const Bystander bystander(engine_);
  if (listener_.is_open()) engine_.close(listener_);
}

}  // namespace stile::sim_test
