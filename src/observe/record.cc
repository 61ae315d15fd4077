#include "observe/record.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <nlohmann/json.hpp>

namespace stile::observe {
namespace {

constexpr std::size_t usual_line_octets = 512;

// In the order of Event.
constexpr std::array<std::string_view, 7> event_names{"session.start", "session.end", "denied", "auth.failed",
                                                      "error",         "drop",        "request"};

std::string_view name(Event event) {
  return event_names[static_cast<std::size_t>(event)];
}

// RFC 3339, always UTC, always six digits: sorts as text.
std::string time_text(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  return fmt::format(FMT_COMPILE("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z"), static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

std::int64_t whole_micros(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// Visits every value that is present, in the one fixed order of keys (the design, 5.4). The client's address stands
// before anything that a peer chose (threat TL1). `visitor` has: word (our own, no octet of which needs an escape),
// token (an operator's), peer (any octets), number, seconds.
template <class Visitor>
void visit(const Record& record, Visitor&& visitor) {
  const auto word = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) visitor.word(key, value);
  };
  const auto peer = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) visitor.peer(key, value);
  };
  const auto number = [&](std::string_view key, const std::optional<std::uint64_t>& value) {
    if (value) visitor.number(key, *value);
  };
  word("event", name(record.event));
  word("time", time_text(record.time));
  if (record.session != 0) word("session", fmt::format("{:016x}", record.session));
  if (!record.listener.empty()) visitor.token("listener", record.listener);
  if (record.client) word("client", record.client->to_string());
  word("protocol", record.protocol);
  peer("user", record.user);
  word("method", record.method);
  word("command", record.command);
  peer("target", record.target);
  if (record.address) word("address", record.address->to_string());
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
  if (record.reason != Reason::none) word("reason", stile::token(record.reason));
  if (record.drop) word("reason", stile::token(*record.drop));
  peer("announced_user", record.announced_user);
  word("cache", record.cache);
  peer("url", record.url);
  peer("sni", record.sni);
  peer("alpn", record.alpn);
}

template <class Visitor>
void visit(const Loss& loss, Visitor&& visitor) {
  visitor.word("event", name(Event::error));
  visitor.word("time", time_text(loss.time));
  visitor.word("reason", "log.dropped");
  visitor.number("dropped", loss.records);
}

// A string that stands in JSON as it is. It looks at every octet, without a branch for each.
bool is_plain(std::string_view text) {
  bool plain = true;
  for (const char octet : text) plain &= (octet >= 0x20) & (octet <= 0x7e) & (octet != '"') & (octet != '\\');
  return plain;
}

// A JSON object, in order. A record is made for each session, so what needs no escape is only put in quotes; the
// library encodes all else: invalid UTF-8 becomes U+FFFD, everything outside printable ASCII an escape.
struct JsonVisitor {
  std::string line;

  void word(std::string_view key, std::string_view value) {
    begin(key);
    line += '"';
    line += value;
    line += '"';
  }
  void token(std::string_view key, std::string_view value) { peer(key, value); }
  void peer(std::string_view key, std::string_view value) {
    if (is_plain(value)) {
      word(key, value);
    } else {
      begin(key);
      line += nlohmann::json(value).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    }
  }
  void number(std::string_view key, std::uint64_t value) {
    begin(key);
    line += fmt::format_int(value).c_str();
  }
  void seconds(std::string_view key, std::int64_t micros) {
    begin(key);
    fmt::format_to(std::back_inserter(line), FMT_COMPILE("{}.{:06}"), micros / 1'000'000, micros % 1'000'000);
    while (line.back() == '0' && line[line.size() - 2] != '.') line.pop_back();
  }

 private:
  void begin(std::string_view key) {
    line += line.empty() ? "{\"" : ",\"";
    line += key;
    line += "\":";
  }
};

// "key=value" pairs; what a peer chose stands in quotes, and no octet of it outside 0x20..0x7e survives.
struct TextVisitor {
  std::string line;

  void token(std::string_view key, std::string_view value) { word(key, value); }
  void word(std::string_view key, std::string_view value) {
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
  visitor.line.reserve(usual_line_octets);
  visit(value, visitor);
  return visitor.line + "}\n";
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
