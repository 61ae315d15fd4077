// The lines of PING and TRACEROUTE, against tests/vectors/icmp.txt (L) and an oracle made of regular expressions.
#include "wire/icmp_text.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>

#include "base/limits.h"
#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

using std::chrono::milliseconds;

const std::string vectors_path = "tests/vectors/icmp.txt";

// --- The oracle --------------------------------------------------------------------------------------------------

const std::string number_form = "(0|[1-9][0-9]*)";
const std::string word_form = "([^ ]*)";
const std::string time_form = "((?:0|[1-9][0-9]{0,8})\\.[0-9]{3})";
const std::string detail_form = "(?: \\[" + number_form + "/" + number_form + "\\])?";

/// Collects what does not fit while a line's parts become values.
struct Reading {
  bool good = true;

  template <class Number>
  Number number(const std::string& text, std::uint64_t largest) {
    if (text.size() > 10 || std::stoull(text) > largest) {
      good = false;
      return 0;
    }
    return static_cast<Number>(std::stoull(text));
  }
  std::uint32_t wide(const std::string& text) { return number<std::uint32_t>(text, 0xFFFFFFFF); }
  std::uint8_t narrow(const std::string& text) { return number<std::uint8_t>(text, 255); }
  IcmpTime time(std::string text) {
    text.erase(text.size() - 4, 1);
    return IcmpTime(static_cast<std::int64_t>(std::stoull(text)));
  }
  Address address(const std::string& text) {
    const auto parsed = Address::parse(text);
    good = good && parsed && parsed->to_string() == text;
    return parsed.value_or(Address{});
  }
  Host host(const std::string& text) {
    const auto parsed = canonical_host(text);
    good = good && parsed && to_string(*parsed) == text;
    return parsed.value_or(Host{});
  }
  std::optional<IcmpDetail> detail(const std::smatch& match, std::size_t at) {
    if (!match[at].matched) return std::nullopt;
    return IcmpDetail{.type = narrow(match[at].str()), .code = narrow(match[at + 1].str())};
  }
};

std::optional<std::smatch> match(const std::string& text, const std::string& form) {
  static std::map<std::string, std::regex> compiled;
  const auto found = compiled.try_emplace(form, form, std::regex::ECMAScript).first;
  std::smatch groups;
  if (!std::regex_match(text, groups, found->second)) return std::nullopt;
  return groups;
}

IcmpLine naive_hop(Reading& reading, const std::smatch& groups) {
  TraceHop hop{.hop = reading.narrow(groups[1].str()), .probes = {}};
  reading.good = reading.good && groups[1].length() + groups.position(1) >= 2 && hop.hop > 0 &&
                 (hop.hop > 9 || groups.position(1) == 1);
  std::string rest = groups[2].str();
  std::optional<TraceProbe> last;
  while (!rest.empty()) {
    std::smatch part;
    static const std::regex form("^  (?:(\\*)|(?:" + word_form + " \\(" + word_form + "\\)  )?" + time_form +
                                 " ms( ![NHPX])?" + detail_form + ")");
    if (!std::regex_search(rest, part, form)) {
      reading.good = false;
      return hop;
    }
    const std::string after = part.suffix();
    if (part[1].matched) {
      hop.probes.emplace_back();
      rest = after;
      continue;
    }
    TraceProbe probe;
    if (part[2].matched) {
      const Host named = reading.host(part[2].str());
      probe.from = reading.address(part[3].str());
      reading.good = reading.good && !(last && last->from == probe.from);
      if (const auto* name = std::get_if<HostName>(&named)) probe.name = *name;
      if (const auto* address = std::get_if<Address>(&named)) reading.good = reading.good && *address == probe.from;
    } else if (last) {
      probe.from = last->from;
      probe.name = last->name;
    } else {
      reading.good = false;
    }
    probe.time = reading.time(part[4].str());
    const std::string mark = part[5].str();
    if (!mark.empty()) probe.mark = static_cast<TraceMark>(1 + std::string("NHPX").find(mark[2]));
    probe.detail = reading.detail(part, 6);
    last = probe;
    hop.probes.emplace_back(probe);
    rest = after;
  }
  reading.good = reading.good && !hop.probes.empty() && hop.probes.size() <= 3;
  return hop;
}

IcmpLine naive_counts(Reading& reading, const std::smatch& m) {
  const PingCounts counts{.sent = reading.wide(m[1].str()),
                          .received = reading.wide(m[2].str()),
                          .elapsed = milliseconds(reading.wide(m[4].str()))};
  // In integers: half of a tenth is rounded up.
  std::uint64_t tenths = 0;
  if (counts.sent > 0 && counts.received <= counts.sent) {
    const std::uint64_t lost = counts.sent - counts.received;
    while (2 * (tenths + 1) * counts.sent <= 2000 * lost + counts.sent) ++tenths;
  }
  reading.good = reading.good && counts.received <= counts.sent && counts.elapsed.count() < 1'000'000'000 &&
                 m[3].str() == std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
  return counts;
}

std::optional<IcmpLine> naive_line(const std::string& text) {
  Reading r;
  std::optional<IcmpLine> line;
  if (const auto m = match(text, "PING " + word_form + " \\(" + word_form + "\\) 56 data bytes")) {
    line = PingStart{.target = r.host((*m)[1].str()), .address = r.address((*m)[2].str())};
  } else if (const auto a = match(text, "64 bytes from " + word_form + ": icmp_seq=" + number_form +
                                            " ttl=" + number_form + " time=" + time_form + " ms" + detail_form)) {
    line = PingAnswer{.from = r.address((*a)[1].str()),
                      .sequence = r.wide((*a)[2].str()),
                      .ttl = r.narrow((*a)[3].str()),
                      .time = r.time((*a)[4].str()),
                      .detail = r.detail(*a, 5)};
  } else if (const auto t = match(text, "icmp_seq=" + number_form + " timeout")) {
    line = PingTimeout{.sequence = r.wide((*t)[1].str())};
  } else if (const auto f = match(text, "icmp_seq=" + number_form + " from " + word_form +
                                            ": (?:(net unreachable)|(host unreachable)|(admin prohibited)|(ttl "
                                            "expired))" +
                                            detail_form)) {
    PingFailure failure{.sequence = r.wide((*f)[1].str()), .from = r.address((*f)[2].str()), .detail = r.detail(*f, 7)};
    for (std::size_t i = 3; i < 7; ++i) {
      if ((*f)[i].matched) failure.trouble = static_cast<PingTrouble>(i - 3);
    }
    line = failure;
  } else if (const auto s = match(text, "--- " + word_form + " ping statistics ---")) {
    line = PingTitle{.target = r.host((*s)[1].str())};
  } else if (const auto c = match(text, number_form + " sent, " + number_form +
                                            " received, ([0-9]+\\.[0-9])% loss, time " + number_form + " ms")) {
    line = naive_counts(r, *c);
  } else if (const auto x = match(text, "rtt min/avg/max/mdev = " + time_form + "/" + time_form + "/" + time_form +
                                            "/" + time_form + " ms")) {
    line = PingTimes{.shortest = r.time((*x)[1].str()),
                     .mean = r.time((*x)[2].str()),
                     .longest = r.time((*x)[3].str()),
                     .deviation = r.time((*x)[4].str())};
  } else if (const auto b = match(text, "traceroute to " + word_form + " \\(" + word_form + "\\), " + number_form +
                                            " hops max, 60 byte packets")) {
    line = TraceStart{
        .target = r.host((*b)[1].str()), .address = r.address((*b)[2].str()), .hops_max = r.narrow((*b)[3].str())};
  } else if (const auto e = match(text, "trace complete: (?:(reached)|(hop limit)|(unreachable)|(ended))")) {
    for (std::size_t i = 1; i < 5; ++i) {
      if ((*e)[i].matched) line = TraceEnd{.outcome = static_cast<TraceOutcome>(i - 1)};
    }
  } else if (const auto h = match(text, " ?" + number_form + "((?:  .*)+)")) {
    line = naive_hop(r, *h);
  }
  return r.good ? line : std::nullopt;
}

// --- Examples ------------------------------------------------------------------------------------------------------

IcmpTime random_time(Random& random) {
  return IcmpTime(static_cast<std::int64_t>(random.below(random.one_in(4) ? 1'000'000'000'000 : 100'000)));
}

std::optional<IcmpDetail> random_detail(Random& random) {
  if (random.one_in(2)) return std::nullopt;
  return IcmpDetail{.type = random.octet(), .code = random.octet()};
}

Address random_address(Random& random) {
  for (;;) {
    const Target target = random_target(random);
    if (const Address* address = target.address()) return *address;
  }
}

std::uint32_t random_number(Random& random) {
  return static_cast<std::uint32_t>(random.below(random.one_in(4) ? 0x1'0000'0000 : 20));
}

TraceHop random_hop(Random& random) {
  TraceHop hop{.hop = static_cast<std::uint8_t>(1 + random.below(random.one_in(4) ? 255 : 30)), .probes = {}};
  std::vector<TraceProbe> answerers(2);
  for (TraceProbe& answerer : answerers) {
    answerer.from = random_address(random);
    const Target target = random_target(random);
    if (const HostName* name = target.host_name()) answerer.name = *name;
  }
  for (std::size_t left = 1 + random.below(3); left > 0; --left) {
    if (random.one_in(4)) {
      hop.probes.emplace_back();
      continue;
    }
    TraceProbe probe = answerers[random.below(2)];
    probe.time = random_time(random);
    probe.mark = static_cast<TraceMark>(random.below(5));
    probe.detail = random_detail(random);
    hop.probes.emplace_back(probe);
  }
  return hop;
}

IcmpLine random_line(Random& random) {
  switch (random.below(10)) {
    case 0:
      return PingStart{.target = random_target(random).host, .address = random_address(random)};
    case 1:
      return PingAnswer{.from = random_address(random),
                        .sequence = random_number(random),
                        .ttl = random.octet(),
                        .time = random_time(random),
                        .detail = random_detail(random)};
    case 2:
      return PingTimeout{.sequence = random_number(random)};
    case 3:
      return PingFailure{.sequence = random_number(random),
                         .from = random_address(random),
                         .trouble = static_cast<PingTrouble>(random.below(4)),
                         .detail = random_detail(random)};
    case 4:
      return PingTitle{.target = random_target(random).host};
    case 5: {
      const std::uint32_t sent = random_number(random) % 5'000;
      const auto received = static_cast<std::uint32_t>(random.below(std::size_t{sent} + 1));
      return PingCounts{.sent = sent, .received = received, .elapsed = milliseconds(random.below(1'000'000'000))};
    }
    case 6:
      return PingTimes{.shortest = random_time(random),
                       .mean = random_time(random),
                       .longest = random_time(random),
                       .deviation = random_time(random)};
    case 7:
      return TraceStart{
          .target = random_target(random).host, .address = random_address(random), .hops_max = random.octet()};
    case 8:
      return random_hop(random);
    default:
      return TraceEnd{.outcome = static_cast<TraceOutcome>(random.below(4))};
  }
}

struct LineCodec {
  using Message = IcmpLine;
  static ParseResult<IcmpLine> decode(ConstBytes input) { return decode_icmp_line(input); }
  static ParseResult<IcmpLine> oracle(const Octets& input) {
    std::string text;
    for (const std::uint8_t octet : input) {
      if (text.size() == 1024) return Malformed{Reason::ping_line, 1025};
      text += static_cast<char>(octet);
      if (octet == '\n') break;
    }
    if (text.empty() || text.back() != '\n') return NeedMore{};
    const Malformed bad{Reason::ping_line, text.size()};
    if (text.size() < 2 || text[text.size() - 2] != '\r') return bad;
    const auto line = naive_line(text.substr(0, text.size() - 2));
    if (!line) return bad;
    return Parsed<IcmpLine>{*line, text.size()};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'L'); }
  static Example<IcmpLine> example(Random& random) {
    IcmpLine line = random_line(random);
    const std::string text = encode_icmp_line(line);
    // Two addresses that are one answerer have one name: that of the probe which named it.
    if (auto* hop = std::get_if<TraceHop>(&line)) {
      const TraceProbe* last = nullptr;
      for (auto& probe : hop->probes) {
        if (!probe) continue;
        if (last != nullptr && last->from == probe->from) probe->name = last->name;
        last = &*probe;
      }
    }
    return {.value = line, .encoded = Octets(text.begin(), text.end())};
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(IcmpLine, CodecTest, LineCodec);

TEST(IcmpLine, LossIsRoundedToTenths) {
  const auto loss = [](std::uint32_t sent, std::uint32_t received) {
    const std::string text =
        encode_icmp_line(PingCounts{.sent = sent, .received = received, .elapsed = milliseconds(0)});
    return text.substr(0, text.find('%')).substr(text.find("received, ") + 10);
  };
  EXPECT_EQ(loss(0, 0), "0.0");
  EXPECT_EQ(loss(3, 3), "0.0");
  EXPECT_EQ(loss(3, 2), "33.3");
  EXPECT_EQ(loss(3, 1), "66.7");
  EXPECT_EQ(loss(3, 0), "100.0");
  EXPECT_EQ(loss(3600, 3599), "0.0");
  EXPECT_EQ(loss(2000, 1999), "0.1") << "half a tenth";
}

TEST(IcmpLine, HopsAreCountedFromOne) {
  for (const std::string_view line : {" 0  *\r\n", " 0  * * *\r\n", " 0  *  *  *\r\n"}) {
    const Octets octets(line.begin(), line.end());
    EXPECT_TRUE(std::holds_alternative<Malformed>(decode_icmp_line(octets))) << line;
  }
}

TEST(IcmpLine, LongestHopFits) {
  const std::string label(63, 'a');
  const std::string text = label + "." + label + "." + label + "." + std::string(61, 'b');
  const auto host = canonical_host(text);
  TraceHop hop{.hop = 255, .probes = {}};
  for (int i = 0; i < 3; ++i) {
    TraceProbe probe;
    probe.name = std::get<HostName>(*host);
    probe.from = *Address::parse("2001:db8:1111:2222:3333:4444:5555:666" + std::to_string(i));
    probe.time = std::chrono::seconds(999'999);
    probe.mark = TraceMark::host;
    probe.detail = IcmpDetail{.type = 255, .code = 255};
    hop.probes.emplace_back(probe);
  }
  const std::string line = encode_icmp_line(hop);
  EXPECT_LE(line.size(), limits::icmp_line_octets_max);
  const Octets octets(line.begin(), line.end());
  EXPECT_EQ(parsed(decode_icmp_line(octets)), IcmpLine(hop));
}

TEST(IcmpLine, VectorsEncodeOctetForOctet) {
  for (const Vector& vector : read_vectors(vectors_path, 'L')) {
    if (!vector.verdict.starts_with("parsed")) continue;
    const std::string text = encode_icmp_line(parsed(decode_icmp_line(vector.octets)));
    EXPECT_EQ(Octets(text.begin(), text.end()), vector.octets) << vector.id;
  }
}

}  // namespace
}  // namespace stile::wire::testing
