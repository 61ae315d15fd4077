// HTTP in the simulated town: a guest, who sends requests through the server, and hosts, who answer them as the plan
// says. They speak by string handling of their own, not through the server's codecs. See http_conversation.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/talker.h"

namespace stile::sim_test {

/// How the end of a body is told.
enum class Framing : std::uint8_t { length, chunked, until_close };

/// One request and what must come of it when nothing else goes wrong.
struct Ask {
  enum class Place : std::uint8_t { address, name, refused, denied };

  Place place = Place::address;
  std::string method = "GET";
  std::string authority;  // as a URI has it: "192.0.2.10:80"
  std::size_t host = 0;   // of the two
  std::string up;
  Framing up_framing = Framing::length;
  bool expects_continue = false;
  std::string down;
  Framing down_framing = Framing::length;
  bool early = false;          // the origin answers before it has read the body
  bool origin_closes = false;  // and ends its connection behind the answer
  bool origin_resets = false;  // in the middle of its answer
  bool origin_silent = false;  // it ends its connection instead of answering
};

struct Visit {
  std::vector<Ask> asks;
  bool pipelined = false;
  std::size_t segment = 65536;
  bool slow = false;    // reads nothing for two seconds
  bool resets = false;  // in the middle
};

/// What one answer was, as the client could tell.
struct Answer {
  int status = 0;
  std::string body;
  bool complete = false;
};

/// A body in its framing, without the field that announces it.
[[nodiscard]] std::string framed(const std::string& body, Framing framing);

class HttpGuest final : public Talker {
 public:
  HttpGuest(engine::SimEngine& engine, const Visit& visit);
  void begin();
  /// One for each request, in their order; the last may be incomplete.
  [[nodiscard]] const std::vector<Answer>& answers();

 private:
  void step() override;
  void ask_next();
  bool take_answer(bool at_the_end);
  [[nodiscard]] std::string head_of(const Ask& ask, std::size_t index) const;

  const Visit& visit_;
  std::size_t asked_ = 0;
  std::vector<Answer> answers_;
  std::size_t at_ = 0;     // behind the last of them
  bool body_due_ = false;  // the head said Expect
  bool slept_ = false;
};

/// Answers on each of its connections, request by request; the path names the request.
class HttpHost {
 public:
  HttpHost(engine::SimEngine& engine, const Visit& visit, const Endpoint& at);
  ~HttpHost();
  HttpHost(const HttpHost&) = delete;
  HttpHost& operator=(const HttpHost&) = delete;
  /// A request that came whole.
  struct Request {
    std::size_t index = 0;
    std::string body;
    std::string head;
  };
  [[nodiscard]] const std::vector<Request>& requests() const noexcept { return requests_; }
  void close_all();

 private:
  class Server;
  void on_accept(engine::Status status);

  engine::SimEngine& engine_;
  const Visit& visit_;
  engine::Socket listener_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<Request> requests_;
};

}  // namespace stile::sim_test
