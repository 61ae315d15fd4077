#include "wire/icmp_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::wire {
namespace {

using std::chrono::milliseconds;

constexpr IcmpTime time_end = std::chrono::seconds(1'000'000);

template <class Value>
using Words = std::pair<Value, std::string_view>;

constexpr std::array<Words<PingTrouble>, 4> troubles = {{{PingTrouble::net_unreachable, "net unreachable"},
                                                         {PingTrouble::host_unreachable, "host unreachable"},
                                                         {PingTrouble::admin_prohibited, "admin prohibited"},
                                                         {PingTrouble::ttl_expired, "ttl expired"}}};
constexpr std::array<Words<TraceMark>, 5> marks = {{{TraceMark::network, " !N"},
                                                    {TraceMark::host, " !H"},
                                                    {TraceMark::protocol, " !P"},
                                                    {TraceMark::prohibited, " !X"},
                                                    {TraceMark::none, ""}}};
constexpr std::array<Words<TraceOutcome>, 4> outcomes = {{{TraceOutcome::reached, "reached"},
                                                          {TraceOutcome::hop_limit, "hop limit"},
                                                          {TraceOutcome::unreachable, "unreachable"},
                                                          {TraceOutcome::ended, "ended"}}};

template <class Table, class Value>
std::string_view words_of(const Table& table, Value value) noexcept {
  const auto row = std::ranges::find(table, value, [](const auto& entry) { return entry.first; });
  STILE_ASSERT(row != table.end());
  return row->second;
}

// --- Encoding --------------------------------------------------------------------------------------------------

std::string milliseconds_text(IcmpTime time) {
  STILE_ASSERT(time.count() >= 0 && time < time_end);
  const std::string decimals = std::to_string(time.count() % 1000);
  return std::to_string(time.count() / 1000) + "." + std::string(3 - decimals.size(), '0') + decimals;
}

std::string detail_text(const std::optional<IcmpDetail>& detail) {
  if (!detail) return {};
  return " [" + std::to_string(detail->type) + "/" + std::to_string(detail->code) + "]";
}

/// Rounded to tenths of a percent.
std::string loss_text(const PingCounts& counts) {
  const std::uint64_t sent = counts.sent;
  const std::uint64_t tenths = sent == 0 ? 0 : (1000 * (sent - counts.received) + sent / 2) / sent;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
}

std::string text_of(const PingStart& line) {
  return "PING " + to_string(line.target) + " (" + line.address.to_string() + ") 56 data bytes";
}

std::string text_of(const PingAnswer& line) {
  return "64 bytes from " + line.from.to_string() + ": icmp_seq=" + std::to_string(line.sequence) +
         " ttl=" + std::to_string(line.ttl) + " time=" + milliseconds_text(line.time) + " ms" +
         detail_text(line.detail);
}

std::string text_of(const PingTimeout& line) {
  return "icmp_seq=" + std::to_string(line.sequence) + " timeout";
}

std::string text_of(const PingFailure& line) {
  return "icmp_seq=" + std::to_string(line.sequence) + " from " + line.from.to_string() + ": " +
         std::string(words_of(troubles, line.trouble)) + detail_text(line.detail);
}

std::string text_of(const PingTitle& line) {
  return "--- " + to_string(line.target) + " ping statistics ---";
}

std::string text_of(const PingCounts& line) {
  STILE_ASSERT(line.received <= line.sent);
  STILE_ASSERT(line.elapsed.count() >= 0 && line.elapsed < time_end);
  return std::to_string(line.sent) + " sent, " + std::to_string(line.received) + " received, " + loss_text(line) +
         "% loss, time " + std::to_string(line.elapsed.count()) + " ms";
}

std::string text_of(const PingTimes& line) {
  return "rtt min/avg/max/mdev = " + milliseconds_text(line.shortest) + "/" + milliseconds_text(line.mean) + "/" +
         milliseconds_text(line.longest) + "/" + milliseconds_text(line.deviation) + " ms";
}

std::string text_of(const TraceStart& line) {
  return "traceroute to " + to_string(line.target) + " (" + line.address.to_string() + "), " +
         std::to_string(line.hops_max) + " hops max, 60 byte packets";
}

std::string text_of(const TraceHop& line) {
  STILE_ASSERT(!line.probes.empty() && line.probes.size() <= limits::trace_probes_per_hop);
  std::string text = (line.hop < 10 ? " " : "") + std::to_string(line.hop);
  const TraceProbe* named = nullptr;
  for (const auto& probe : line.probes) {
    text += "  ";
    if (!probe) {
      text += "*";
      continue;
    }
    if (named == nullptr || named->from != probe->from) {
      text += (probe->name ? probe->name->text() : probe->from.to_string()) + " (" + probe->from.to_string() + ")  ";
    }
    named = &*probe;
    text += milliseconds_text(probe->time) + " ms";
    text += words_of(marks, probe->mark);
    text += detail_text(probe->detail);
  }
  return text;
}

std::string text_of(const TraceEnd& line) {
  return "trace complete: " + std::string(words_of(outcomes, line.outcome));
}

// --- Decoding --------------------------------------------------------------------------------------------------

/// Reads a line front to back. What does not fit is sticky and found once, at the end; spellings that the encoder does
/// not use are found there too, by comparing.
class LineReader {
 public:
  explicit LineReader(std::string_view text) noexcept : rest_(text) {}

  bool skip(std::string_view literal) noexcept {
    if (!rest_.starts_with(literal)) return false;
    rest_.remove_prefix(literal.size());
    return true;
  }
  void expect(std::string_view literal) noexcept { good_ = skip(literal) && good_; }

  /// Up to `end`, which is taken too.
  std::string_view until(std::string_view end) noexcept {
    const std::size_t at = rest_.find(end);
    if (at == std::string_view::npos) {
      good_ = false;
      return {};
    }
    const std::string_view text = rest_.substr(0, at);
    rest_.remove_prefix(at + end.size());
    return text;
  }

  template <class Number>
  Number number() noexcept {
    Number value{};
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    good_ = good_ && error == std::errc{};
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  IcmpTime time() noexcept {
    const auto whole = number<std::uint32_t>();
    expect(".");
    const std::size_t before = rest_.size();
    const auto decimals = number<std::uint16_t>();
    const IcmpTime value = milliseconds(whole) + IcmpTime(decimals);
    good_ = good_ && before - rest_.size() == 3 && value < time_end;
    return value;
  }

  Address address(std::string_view end) {
    const auto parsed = Address::parse(until(end));
    good_ = good_ && parsed.has_value();
    return parsed.value_or(Address{});
  }

  Host host(std::string_view end) {
    auto parsed = canonical_host(until(end));
    good_ = good_ && parsed.has_value();
    return parsed ? *std::move(parsed) : Host{};
  }

  std::optional<IcmpDetail> detail() noexcept {
    if (!skip(" [")) return std::nullopt;
    IcmpDetail detail;
    detail.type = number<std::uint8_t>();
    expect("/");
    detail.code = number<std::uint8_t>();
    expect("]");
    return detail;
  }

  template <class Table>
  auto words(const Table& table) noexcept {
    for (const auto& [value, text] : table) {
      if (skip(text)) return value;
    }
    good_ = false;
    return table.front().first;
  }

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  [[nodiscard]] bool good() const noexcept { return good_; }
  void fail() noexcept { good_ = false; }

 private:
  std::string_view rest_;
  bool good_ = true;
};

IcmpLine read_start(LineReader& reader) {
  PingStart line;
  line.target = reader.host(" (");
  line.address = reader.address(") 56 data bytes");
  return line;
}

IcmpLine read_answer(LineReader& reader) {
  PingAnswer line;
  line.from = reader.address(": icmp_seq=");
  line.sequence = reader.number<std::uint32_t>();
  reader.expect(" ttl=");
  line.ttl = reader.number<std::uint8_t>();
  reader.expect(" time=");
  line.time = reader.time();
  reader.expect(" ms");
  line.detail = reader.detail();
  return line;
}

IcmpLine read_event(LineReader& reader) {
  const auto sequence = reader.number<std::uint32_t>();
  if (reader.skip(" timeout")) return PingTimeout{.sequence = sequence};
  PingFailure line;
  line.sequence = sequence;
  reader.expect(" from ");
  line.from = reader.address(": ");
  line.trouble = reader.words(troubles);
  line.detail = reader.detail();
  return line;
}

IcmpLine read_counts(LineReader& reader) {
  PingCounts line;
  line.sent = reader.number<std::uint32_t>();
  reader.expect(" sent, ");
  line.received = reader.number<std::uint32_t>();
  reader.expect(" received, ");
  (void)reader.until("% loss, time ");  // compared with the encoder's
  const auto elapsed = reader.number<std::uint32_t>();
  line.elapsed = milliseconds(elapsed);
  reader.expect(" ms");
  if (line.received > line.sent || line.elapsed >= time_end) reader.fail();
  return line;
}

IcmpLine read_times(LineReader& reader) {
  PingTimes line;
  line.shortest = reader.time();
  reader.expect("/");
  line.mean = reader.time();
  reader.expect("/");
  line.longest = reader.time();
  reader.expect("/");
  line.deviation = reader.time();
  reader.expect(" ms");
  return line;
}

IcmpLine read_trace_start(LineReader& reader) {
  TraceStart line;
  line.target = reader.host(" (");
  line.address = reader.address("), ");
  line.hops_max = reader.number<std::uint8_t>();
  reader.expect(" hops max, 60 byte packets");
  return line;
}

/// Who answered: "<name or a> (<a>)  "; a probe begins with it unless the one before came from there.
void read_answerer(LineReader& reader, TraceProbe& probe) {
  const Host named = reader.host(" (");
  probe.from = reader.address(")  ");
  if (const auto* name = std::get_if<HostName>(&named)) probe.name = *name;
}

IcmpLine read_hop(LineReader& reader) {
  TraceHop line;
  (void)reader.skip(" ");
  line.hop = reader.number<std::uint8_t>();
  if (line.hop == 0) reader.fail();
  TraceProbe probe;  // the answerer is kept from probe to probe
  bool known = false;
  while (!reader.at_end() && reader.good() && line.probes.size() < limits::trace_probes_per_hop) {
    reader.expect("  ");
    if (reader.skip("*")) {
      line.probes.emplace_back();
      continue;
    }
    LineReader ahead = reader;
    (void)ahead.time();
    ahead.expect(" ms");
    if (!ahead.good() || !known) {
      probe.name.reset();
      read_answerer(reader, probe);
    }
    known = true;
    probe.time = reader.time();
    reader.expect(" ms");
    probe.mark = reader.words(marks);
    probe.detail = reader.detail();
    line.probes.emplace_back(probe);
  }
  if (line.probes.empty()) reader.fail();
  return line;
}

IcmpLine read_line(LineReader& reader) {
  if (reader.skip("PING ")) return read_start(reader);
  if (reader.skip("64 bytes from ")) return read_answer(reader);
  if (reader.skip("icmp_seq=")) return read_event(reader);
  if (reader.skip("--- ")) return PingTitle{.target = reader.host(" ping statistics ---")};
  if (reader.skip("rtt min/avg/max/mdev = ")) return read_times(reader);
  if (reader.skip("traceroute to ")) return read_trace_start(reader);
  if (reader.skip("trace complete: ")) return TraceEnd{.outcome = reader.words(outcomes)};
  LineReader ahead = reader;
  (void)ahead.number<std::uint32_t>();
  return ahead.skip(" sent, ") ? read_counts(reader) : read_hop(reader);
}

}  // namespace

std::string encode_icmp_line(const IcmpLine& line) {
  return std::visit([](const auto& one) { return text_of(one); }, line) + "\r\n";
}

ParseResult<IcmpLine> decode_icmp_line(ConstBytes input) {
  const ConstBytes window = input.first(std::min(input.size(), limits::icmp_line_octets_max));
  const auto lf = std::ranges::find(window, std::uint8_t{'\n'});
  if (lf == window.end()) {
    if (window.size() == input.size()) return NeedMore{};
    return Malformed{.reason = Reason::ping_line, .consumed = window.size() + 1};
  }
  const auto octets = static_cast<std::size_t>(lf - window.begin()) + 1;
  const std::string_view text(reinterpret_cast<const char*>(window.data()), octets);
  const Malformed malformed{.reason = Reason::ping_line, .consumed = octets};
  if (!text.ends_with("\r\n")) return malformed;
  LineReader reader(text.substr(0, octets - 2));
  IcmpLine line = read_line(reader);
  if (!reader.good() || encode_icmp_line(line) != text) return malformed;
  return Parsed<IcmpLine>{.value = std::move(line), .consumed = octets};
}

}  // namespace stile::wire
