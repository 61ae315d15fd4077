#include "policy/option_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "base/duration.h"
#include "policy/classes.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

constexpr std::uint16_t minutes_of_day = 24 * 60;

std::unexpected<Fault> fault(std::string message, std::size_t offset = 0) {
  return std::unexpected(Fault{.message = std::move(message), .offset = offset});
}

struct Unit {
  std::string_view name;
  std::uint64_t octets;
};

// Of powers of ten and of two that divide alike, size_text takes the first.
constexpr std::array<Unit, 9> units{{
    {"TB", 1'000'000'000'000},
    {"TiB", std::uint64_t{1} << 40U},
    {"GB", 1'000'000'000},
    {"GiB", std::uint64_t{1} << 30U},
    {"MB", 1'000'000},
    {"MiB", std::uint64_t{1} << 20U},
    {"KB", 1'000},
    {"KiB", std::uint64_t{1} << 10U},
    {"B", 1},
}};
constexpr auto unit_words = [] {
  std::array<std::string_view, units.size()> words;
  std::ranges::transform(units, words.begin(), &Unit::name);
  return words;
}();

// Two decimal digits.
std::optional<unsigned> two_digits(std::string_view text) noexcept {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() != 2 || !std::ranges::all_of(text, is_digit)) return std::nullopt;
  return static_cast<unsigned>((text[0] - '0') * 10 + (text[1] - '0'));
}

std::string two_digits_text(unsigned number) {
  return {static_cast<char>('0' + number / 10), static_cast<char>('0' + number % 10)};
}

std::string minute_text(unsigned minute) {
  return two_digits_text(minute / 60) + ":" + two_digits_text(minute % 60);
}

std::optional<std::size_t> day_named(std::string_view word) noexcept {
  const auto found = std::ranges::find(day_words(), word);
  if (found == day_words().end()) return std::nullopt;
  return static_cast<std::size_t>(found - day_words().begin());
}

std::string day_fault(std::string_view word) {
  const std::string hint = suggestion(word, day_words());
  return "expected a day, mon to sun, found " + quoted(word) + hint;
}

// 24:00 is the end of a day, and no moment of it.
std::optional<unsigned> minute_of(std::string_view word) noexcept {
  const std::size_t colon = word.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto hour = two_digits(word.substr(0, colon));
  const auto minute = two_digits(word.substr(colon + 1));
  if (!hour || !minute || *minute > 59 || *hour * 60 + *minute > minutes_of_day) return std::nullopt;
  return *hour * 60 + *minute;
}

std::string scope_text(Scope scope) {
  return scope == Scope::rule ? "" : scope == Scope::user ? "per user " : "per tunnel ";
}

std::string rate_text(const Rate& rate) {
  const std::string direction = rate.direction == Direction::both ? ""
                                : rate.direction == Direction::up ? "up "
                                                                  : "down ";
  return "rate " + scope_text(rate.scope) + direction + size_text(rate.octets_per_second) + "/s";
}

std::string quota_text(const Quota& quota) {
  const std::string period = quota.period == Quota::Period::day ? "/day" : "/month";
  return "quota " + scope_text(quota.scope) + size_text(quota.octets) + period;
}

std::string when_text(const When& when) {
  std::string days;
  for (std::size_t first = 0; first < when.days.size(); ++first) {
    if (!when.days[first]) continue;
    std::size_t last = first;
    while (last + 1 < when.days.size() && when.days[last + 1]) ++last;
    if (!days.empty()) days += ',';
    days += day_words()[first];
    if (last > first) days += "-" + std::string(day_words()[last]);
    first = last;
  }
  return "when " + days + " " + minute_text(when.first) + "-" + minute_text(when.last);
}

std::string place_text(const Target& target) {
  const HostName* const name = target.host_name();
  return name == nullptr ? target.to_string() : '"' + name->text() + "\":" + std::to_string(target.port);
}

}  // namespace

std::expected<std::uint64_t, Fault> parse_size(std::string_view word) {
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  const auto digits = static_cast<std::size_t>(rest - word.data());
  if (digits == 0) return fault("expected a size such as 10MB, found " + quoted(word));
  const std::string_view name = word.substr(digits);
  const auto unit = std::ranges::find(units, name, &Unit::name);
  if (unit == units.end()) {
    const bool fraction = name.starts_with('.') || name.starts_with(',');
    return fault(fraction
                     ? quoted(word) + " has a fraction: take a smaller unit"
                     : "expected a unit, B, KB, MB, GB, TB (powers of ten) or KiB, MiB, GiB, TiB (of two), found " +
                           quoted(name) + suggestion(name, unit_words),
                 digits);
  }
  if (error != std::errc{} || number > std::uint64_t{std::numeric_limits<std::int64_t>::max()} / unit->octets) {
    return fault(quoted(word) + " is more than can be counted");
  }
  if (number == 0) return fault(quoted(word) + " lets nothing pass (a deny says so more plainly)");
  return number * unit->octets;
}

std::string size_text(std::uint64_t octets) {
  const auto unit = std::ranges::find_if(units, [&](const Unit& each) { return octets % each.octets == 0; });
  return std::to_string(octets / unit->octets) + std::string(unit->name);
}

std::expected<void, Fault> add_days(std::string_view word, When& when) {
  const std::size_t dash = word.find('-');
  const auto first = day_named(word.substr(0, dash));
  if (!first) return fault(day_fault(word.substr(0, dash)));
  const auto last = dash == std::string_view::npos ? first : day_named(word.substr(dash + 1));
  if (!last) return fault(day_fault(word.substr(dash + 1)), dash + 1);
  for (std::size_t day = *first;; day = (day + 1) % when.days.size()) {
    when.days[day] = true;
    if (day == *last) return {};
  }
}

std::expected<void, Fault> parse_hours(std::string_view word, When& when) {
  const std::size_t dash = word.find('-');
  const auto first = minute_of(word.substr(0, dash));
  const auto last = dash == std::string_view::npos ? std::nullopt : minute_of(word.substr(dash + 1));
  if (!first || !last || *first == minutes_of_day) {
    return fault("expected times of day such as 08:00-18:00, found " + quoted(word));
  }
  when.first = static_cast<std::uint16_t>(*first);
  when.last = static_cast<std::uint16_t>(*last);
  return {};
}

std::expected<WeekTime, Fault> parse_day(std::string_view word) {
  const auto day = day_named(word);
  if (!day) return fault(day_fault(word));
  return WeekTime{.day = static_cast<std::uint8_t>(*day), .minute = 0};
}

std::expected<std::uint16_t, Fault> parse_minute(std::string_view word) {
  const auto minute = minute_of(word);
  if (!minute || *minute == minutes_of_day) return fault("expected a time of day such as 09:00, found " + quoted(word));
  return static_cast<std::uint16_t>(*minute);
}

std::expected<EgressSettings, Fault> parse_egress(std::string_view word) {
  const std::size_t percent = word.find('%');
  const std::string_view address = word.substr(0, percent);
  EgressSettings egress;
  if (percent != std::string_view::npos) {
    const auto interface = InterfaceName::parse(word.substr(percent + 1));
    if (!interface || interface->empty()) {
      return fault("expected an interface of this host behind the '%', found " + quoted(word.substr(percent + 1)),
                   percent + 1);
    }
    egress.interface = *interface;
  }
  const auto source = parse_source(address);
  const auto* const prefix = source ? std::get_if<Cidr>(&*source) : nullptr;
  if (prefix == nullptr) {
    const auto alone = !source && percent == std::string_view::npos ? InterfaceName::parse(word) : std::nullopt;
    if (alone) return EgressSettings{.from = {}, .interface = *alone, .mark = 0};
    return fault("expected an address of this host, an IPv6 prefix of it or an interface, found " + quoted(word));
  }
  if (prefix->base.is_v4() && prefix->length != 32) {
    return fault(quoted(word) + " is a prefix of IPv4, where one address must be named");
  }
  const bool multicast = class_prefix_of(prefix->base).target_class == TargetClass::multicast;
  if (prefix->base.is_unspecified() || multicast) return fault("nothing connects from " + quoted(word));
  egress.from = *prefix;
  return egress;
}

std::expected<std::uint32_t, Fault> parse_mark(std::string_view word) {
  const bool hexadecimal = word.starts_with("0x");
  const std::string_view digits = word.substr(hexadecimal ? 2 : 0);
  std::uint32_t mark = 0;
  const char* const last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, mark, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != last || mark == 0) {
    return fault("expected a mark from 1 to 4294967295, or from 0x1 to 0xffffffff, found " + quoted(word));
  }
  return mark;
}

std::expected<Target, Fault> parse_place(std::string_view word) {
  const auto split = split_target(word);
  if (!split) return std::unexpected(split.error());
  if (split->host.starts_with(list_prefix)) {
    return fault(quoted(split->host) + " is a list, where one host is expected");
  }
  if (!split->ports) return fault("expected HOST:PORT, found " + quoted(word));
  auto pattern = parse_host(split->host);
  if (!pattern) return std::unexpected(std::move(pattern.error()));
  const auto ports = parse_ports(*split->ports);
  if (!ports) return fault(ports.error().message, split->ports_offset + ports.error().offset);
  if (ports->first != ports->last || ports->first == 0) {
    return fault("expected one port, found " + quoted(*split->ports), split->ports_offset);
  }
  if (auto* const exact = std::get_if<ExactName>(&*pattern)) {
    return Target{.host = std::move(exact->name), .port = ports->first};
  }
  const auto* const prefix = std::get_if<Cidr>(&*pattern);
  if (prefix == nullptr || *prefix != Cidr::host(prefix->base)) {
    return fault(quoted(split->host) + " is not one host");
  }
  return Target{.host = prefix->base, .port = ports->first};
}

std::expected<Duration, Fault> parse_idle(std::string_view word) {
  constexpr Duration longest = std::chrono::days{30};
  if (word == "off") return Duration::zero();
  const auto duration = parse_duration(word);
  if (!duration || *duration < std::chrono::seconds{1} || *duration > longest) {
    return fault("expected a duration from 1s to 30d, such as 5m, or off, found " + quoted(word));
  }
  return *duration;
}

std::string to_text(const WeekTime& at) {
  return std::string(day_words()[at.day]) + " " + minute_text(at.minute);
}

std::vector<std::string> option_texts(const Options& options) {
  std::vector<std::string> texts;
  std::string via;
  for (const std::string& name : options.via) via += (via.empty() ? "via " : " > ") + name;
  if (!via.empty()) texts.push_back(std::move(via));
  for (const Rate& rate : options.rates) texts.push_back(rate_text(rate));
  for (const SessionsLimit& limit : options.sessions) {
    texts.push_back("sessions " + scope_text(limit.scope) + std::to_string(limit.most));
  }
  for (const Quota& quota : options.quotas) texts.push_back(quota_text(quota));
  for (const When& when : options.when) texts.push_back(when_text(when));
  if (options.egress.has_place()) texts.push_back("egress " + options.egress.place_text());
  if (options.egress.mark != 0) texts.push_back("mark " + std::to_string(options.egress.mark));
  if (options.redirect) texts.push_back("redirect " + place_text(*options.redirect));
  if (options.idle) {
    texts.push_back("idle " + (*options.idle == Duration::zero() ? "off" : stile::to_text(*options.idle)));
  }
  if (options.log != RecordDetail::session) {
    texts.push_back(options.log == RecordDetail::none ? "log none" : "log url");
  }
  return texts;
}

}  // namespace stile::policy
