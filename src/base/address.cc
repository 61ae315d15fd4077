#include "base/address.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/number.h"

namespace stile {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
constexpr std::size_t v6_groups = 8;

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

constexpr int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::array<std::uint8_t, 4>> parse_quad(std::string_view text) noexcept {
  std::array<std::uint8_t, 4> octets{};
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const bool last = i + 1 == octets.size();
    const std::size_t dot = text.find('.');
    if (last != (dot == std::string_view::npos)) return std::nullopt;
    const auto value = plain_number<unsigned>(text.substr(0, dot), 255);
    if (!value) return std::nullopt;
    octets[i] = static_cast<std::uint8_t>(*value);
    if (!last) text.remove_prefix(dot + 1);
  }
  return octets;
}

/// One to four hexadecimal digits, all of `text`.
std::optional<std::uint16_t> parse_group(std::string_view text) noexcept {
  if (text.empty() || text.size() > 4) return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    const int digit = hex_value(c);
    if (digit < 0) return std::nullopt;
    value = value << 4 | static_cast<unsigned>(digit);
  }
  return static_cast<std::uint16_t>(value);
}

struct GroupRun {
  std::array<std::uint16_t, v6_groups> groups{};
  std::size_t count = 0;
};

/// Groups separated by single colons, possibly none; a dotted quad may stand for the last two where `quad_allowed`.
std::optional<GroupRun> parse_groups(std::string_view text, bool quad_allowed) noexcept {
  GroupRun run;
  if (text.empty()) return run;
  for (;;) {
    const std::size_t colon = text.find(':');
    const std::string_view part = text.substr(0, colon);
    if (const auto group = parse_group(part)) {
      if (run.count == v6_groups) return std::nullopt;
      run.groups[run.count++] = *group;
    } else {
      const auto quad = quad_allowed && colon == std::string_view::npos ? parse_quad(part) : std::nullopt;
      if (!quad || run.count + 2 > v6_groups) return std::nullopt;
      run.groups[run.count++] = static_cast<std::uint16_t>((*quad)[0] << 8 | (*quad)[1]);
      run.groups[run.count++] = static_cast<std::uint16_t>((*quad)[2] << 8 | (*quad)[3]);
    }
    if (colon == std::string_view::npos) return run;
    text.remove_prefix(colon + 1);
  }
}

/// RFC 4291 section 2.2, forms 1 to 3. "::" stands for at least one group and occurs once.
std::optional<std::array<std::uint16_t, v6_groups>> parse_v6_groups(std::string_view text) noexcept {
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    const auto run = parse_groups(text, true);
    if (!run || run->count != v6_groups) return std::nullopt;
    return run->groups;
  }
  const auto head = parse_groups(text.substr(0, gap), false);
  const auto tail = parse_groups(text.substr(gap + 2), true);
  if (!head || !tail || head->count + tail->count >= v6_groups) return std::nullopt;
  std::array<std::uint16_t, v6_groups> groups = head->groups;
  std::copy_n(tail->groups.begin(), tail->count, groups.end() - static_cast<std::ptrdiff_t>(tail->count));
  return groups;
}

void append_number(std::string& text, unsigned value, int base) {
  std::array<char, 12> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
  text.append(digits.data(), end);
}

std::string quad_text(ConstBytes octets) {
  std::array<char, 15> text;
  char* end = text.data();
  for (const std::uint8_t octet : octets) {
    if (end != text.data()) *end++ = '.';
    end = std::to_chars(end, text.data() + text.size(), octet).ptr;
  }
  return {text.data(), end};
}

struct ZeroRun {
  std::size_t first = 0;
  std::size_t count = 0;
};

/// The run that "::" replaces: the longest of two groups or more, the first of equals (RFC 5952 section 4.2).
ZeroRun longest_zero_run(const std::array<std::uint16_t, v6_groups>& groups) noexcept {
  ZeroRun best;
  for (std::size_t i = 0; i < v6_groups; ++i) {
    std::size_t end = i;
    while (end < v6_groups && groups[end] == 0) ++end;
    if (end - i >= 2 && end - i > best.count) best = {.first = i, .count = end - i};
    if (end > i) i = end - 1;
  }
  return best;
}

/// RFC 5952 section 4.
std::string v6_text(ConstBytes octets) {
  std::array<std::uint16_t, v6_groups> groups{};
  ByteReader reader(octets);
  for (auto& group : groups) group = reader.u16();
  const ZeroRun gap = longest_zero_run(groups);
  std::string text;
  for (std::size_t i = 0; i < v6_groups; ++i) {
    if (gap.count > 0 && i == gap.first) {
      text += "::";
      i += gap.count - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    append_number(text, groups[i], 16);
  }
  return text;
}

std::string with_port(std::string host, bool brackets, std::uint16_t port) {
  std::string text = brackets ? '[' + std::move(host) + ']' : std::move(host);
  text += ':';
  append_number(text, port, 10);
  return text;
}

bool host_bits_are_zero(ConstBytes octets, unsigned bits) noexcept {
  for (unsigned bit = bits; bit < octets.size() * 8; ++bit) {
    if ((octets[bit / 8] & (0x80u >> bit % 8)) != 0) return false;
  }
  return true;
}

}  // namespace

Address Address::v4(std::span<const std::uint8_t, 4> octets) noexcept {
  return v4(octets[0], octets[1], octets[2], octets[3]);
}

Address Address::v6(std::span<const std::uint8_t, 16> octets) noexcept {
  if (std::ranges::equal(octets.first<12>(), mapped_prefix)) return v4(octets.last<4>());
  Address address;
  address.family_ = Family::ipv6;
  std::ranges::copy(octets, address.octets_.begin());
  return address;
}

std::optional<Address> Address::parse(std::string_view text) noexcept {
  if (text.find(':') == std::string_view::npos) {
    const auto quad = parse_quad(text);
    if (!quad) return std::nullopt;
    return v4(*quad);
  }
  const auto groups = parse_v6_groups(text);
  if (!groups) return std::nullopt;
  std::array<std::uint8_t, 16> octets{};
  ByteWriter writer(octets);
  for (const std::uint16_t group : *groups) writer.u16(group);
  return v6(octets);
}

bool Address::is_unspecified() const noexcept {
  return std::ranges::all_of(octets_, [](std::uint8_t octet) { return octet == 0; });
}

std::string Address::to_string() const {
  return is_v4() ? quad_text(octets()) : v6_text(octets());
}

std::string Endpoint::to_string() const {
  return with_port(address.to_string(), !address.is_v4(), port);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) noexcept {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  // Without brackets the last group of an IPv6 address could be taken for a port.
  if (brackets != (host.find(':') != std::string_view::npos)) return std::nullopt;
  const auto address = Address::parse(host);
  const auto port = plain_number<unsigned>(text.substr(colon + 1), 0xFFFF);
  if (!address || !port) return std::nullopt;
  return Endpoint{.address = *address, .port = static_cast<std::uint16_t>(*port)};
}

bool Cidr::contains(const Address& address) const noexcept {
  return address.family() == base.family() && same_prefix(address.octets(), base.octets(), length);
}

bool Cidr::contains(const Cidr& inner) const noexcept {
  return inner.length >= length && contains(inner.base);
}

Address Cidr::address_with(std::span<const std::uint8_t, 16> bits) const noexcept {
  std::array<std::uint8_t, 16> octets{};
  const ConstBytes prefix = base.octets();
  const std::size_t skipped = octets.size() - prefix.size();
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    const unsigned kept = length > 8 * i ? std::min(8U, length - static_cast<unsigned>(8 * i)) : 0;
    const unsigned mask = (0xFF00U >> kept) & 0xFFU;
    octets[skipped + i] = static_cast<std::uint8_t>((prefix[i] & mask) | (bits[skipped + i] & ~mask));
  }
  if (base.is_v4()) return Address::v4(std::span(octets).last<4>());
  return Address::v6(octets);
}

std::optional<Cidr> Cidr::parse(std::string_view text) noexcept {
  const std::size_t slash = text.find('/');
  const std::string_view address_text = text.substr(0, slash);
  const auto address = Address::parse(address_text);
  if (!address) return std::nullopt;
  const unsigned bits = address->is_v4() ? 32 : 128;
  unsigned length = bits;
  if (slash != std::string_view::npos) {
    // A prefix written in the IPv4-mapped space counts its length there: ::ffff:10.0.0.0/104 is 10.0.0.0/8.
    const bool mapped = address->is_v4() && address_text.find(':') != std::string_view::npos;
    const unsigned offset = mapped ? 96 : 0;
    const auto written = plain_number<unsigned>(text.substr(slash + 1), bits + offset);
    if (!written || *written < offset) return std::nullopt;
    length = *written - offset;
  }
  if (!host_bits_are_zero(address->octets(), length)) return std::nullopt;
  return Cidr{.base = *address, .length = static_cast<std::uint8_t>(length)};
}

Cidr Cidr::host(const Address& address) noexcept {
  return Cidr{.base = address, .length = static_cast<std::uint8_t>(address.is_v4() ? 32 : 128)};
}

std::string Cidr::to_string() const {
  std::string text = base.to_string() + '/';
  append_number(text, length, 10);
  return text;
}

std::string to_string(const Host& host) {
  if (const auto* address = std::get_if<Address>(&host)) return address->to_string();
  return std::get<HostName>(host).text();
}

std::string Target::to_string() const {
  const Address* literal = address();
  return with_port(stile::to_string(host), literal != nullptr && !literal->is_v4(), port);
}

}  // namespace stile
