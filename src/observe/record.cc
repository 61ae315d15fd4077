#include "observe/record.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>

namespace stile::observe {
namespace {

// In the order of Event.
constexpr std::array<std::string_view, 6> event_names{"session.start", "session.end", "denied",
                                                      "auth.failed",   "error",       "drop"};

std::string_view name(Event event) {
  return event_names[static_cast<std::size_t>(event)];
}

// RFC 3339, always UTC, always six digits: sorts as text.
std::string time_text(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto micros = (time - seconds).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(seconds.time_since_epoch().count()), micros);
}

std::int64_t whole_micros(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// Visits every value that is present, in the one fixed order of keys (the design, 5.4). The client's address stands
// before anything that a peer chose (threat TL1). `visitor` has: token (our own words), peer (any octets), number,
// seconds.
template <class Visitor>
void visit(const Record& record, Visitor&& visitor) {
  const auto token = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) visitor.token(key, value);
  };
  const auto peer = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) visitor.peer(key, value);
  };
  const auto number = [&](std::string_view key, const std::optional<std::uint64_t>& value) {
    if (value) visitor.number(key, *value);
  };
  token("event", name(record.event));
  token("time", time_text(record.time));
  if (record.session != 0) token("session", fmt::format("{:016x}", record.session));
  token("listener", record.listener);
  if (record.client) token("client", record.client->to_string());
  token("protocol", record.protocol);
  peer("user", record.user);
  token("method", record.method);
  token("command", record.command);
  peer("target", record.target);
  if (record.address) token("address", record.address->to_string());
  peer("rule", record.rule);
  peer("route", record.route);
  if (record.reply) visitor.number("reply", static_cast<std::uint64_t>(*record.reply));
  number("bytes_up", record.bytes_up);
  number("bytes_down", record.bytes_down);
  number("packets_up", record.packets_up);
  number("packets_down", record.packets_down);
  number("packets_dropped", record.packets_dropped);
  number("socket_errors", record.socket_errors);
  if (record.duration) visitor.seconds("seconds", whole_micros(*record.duration));
  if (record.reason != Reason::none) token("reason", stile::token(record.reason));
  if (record.drop) token("reason", stile::token(*record.drop));
}

template <class Visitor>
void visit(const Loss& loss, Visitor&& visitor) {
  visitor.token("event", name(Event::error));
  visitor.token("time", time_text(loss.time));
  visitor.token("reason", "log.dropped");
  visitor.number("dropped", loss.records);
}

// A JSON object, in order. The library encodes: invalid UTF-8 becomes U+FFFD, everything outside printable ASCII an
// escape.
struct JsonVisitor {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();

  void token(std::string_view key, std::string_view value) { object.emplace(key, value); }
  void peer(std::string_view key, std::string_view value) { object.emplace(key, value); }
  void number(std::string_view key, std::uint64_t value) { object.emplace(key, value); }
  void seconds(std::string_view key, std::int64_t micros) { object.emplace(key, static_cast<double>(micros) / 1e6); }
};

// "key=value" pairs; what a peer chose stands in quotes, and no octet of it outside 0x20..0x7e survives.
struct TextVisitor {
  std::string line;

  void token(std::string_view key, std::string_view value) {
    // What every line has stands without its key: the event, led by the time.
    if (key == "event") {
      line = value;
    } else if (key == "time") {
      line = fmt::format("{} {}", value, line);
    } else {
      line += fmt::format(" {}={}", key, value);
    }
  }
  void peer(std::string_view key, std::string_view value) {
    line += fmt::format(" {}=\"", key);
    for (const char octet : value) {
      if (octet == '"' || octet == '\\') {
        line += '\\';
        line += octet;
      } else if (octet >= 0x20 && octet <= 0x7e) {
        line += octet;
      } else {
        line += fmt::format("\\x{:02x}", static_cast<unsigned char>(octet));
      }
    }
    line += '"';
  }
  void number(std::string_view key, std::uint64_t value) { line += fmt::format(" {}={}", key, value); }
  void seconds(std::string_view key, std::int64_t micros) {
    line += fmt::format(" {}={}.{:06}", key, micros / 1'000'000, micros % 1'000'000);
  }
};

template <class Value>
std::string json_line(const Value& value) {
  JsonVisitor visitor;
  visit(value, visitor);
  return visitor.object.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

template <class Value>
std::string text_line(const Value& value) {
  TextVisitor visitor;
  visit(value, visitor);
  return visitor.line + '\n';
}

}  // namespace

std::string to_json(const Record& record) {
  return json_line(record);
}
std::string to_json(const Loss& loss) {
  return json_line(loss);
}
std::string to_text(const Record& record) {
  return text_line(record);
}
std::string to_text(const Loss& loss) {
  return text_line(loss);
}

}  // namespace stile::observe
