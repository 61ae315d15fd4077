#include "sim/probe_conversation.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "sim/places.h"
#include "sim/socks_client.h"
#include "sim/talker.h"
#include "wire/icmp_text.h"

namespace stile::sim_test {
namespace {

enum class Errand : std::uint8_t { answering, by_name, silent, unreachable, denied, unknown_name };
constexpr int errand_count = static_cast<int>(Errand::unknown_name) + 1;

enum class Ending : std::uint8_t { octet, octet_with_request, fin, reset, of_itself };
constexpr int ending_count = static_cast<int>(Ending::of_itself) + 1;

struct Script {
  bool trace = false;
  std::uint8_t flags = 0;
  Errand errand = Errand::answering;
  Ending ending = Ending::octet;
  std::size_t lines = 1;      // read before the end is asked for
  std::size_t segment = 100;  // the client writes at most this much at a time
  bool slow = false;          // reads nothing for a while
};

Script random_script(engine::Prng& prng) {
  Script script;
  script.trace = prng.next() % 2 == 0;
  script.flags = static_cast<std::uint8_t>(prng.next() % 4);
  script.errand = static_cast<Errand>(prng.next() % errand_count);
  script.ending = static_cast<Ending>(prng.next() % ending_count);
  script.lines = 1 + prng.next() % 5;
  if (prng.next() % 2 == 0) script.segment = 1 + prng.next() % 12;
  script.slow = prng.next() % 6 == 0;
  // A ping goes on for an hour: somebody has to end it.
  if (script.ending == Ending::of_itself && !script.trace) script.ending = Ending::octet;
  return script;
}

std::string request_for(const Script& script, std::size_t number) {
  const auto command = static_cast<Command>(script.trace ? 0x81 : 0x80);
  std::string octets;
  switch (script.errand) {
    case Errand::answering:
      octets = request(Version::socks5, command, origin_address, 0);
      break;
    case Errand::by_name:
      octets = request(Version::socks5, command, name_of("probed", number), 0);
      break;
    case Errand::silent:
      octets = request(Version::socks5, command, dead_address, 0);
      break;
    case Errand::unreachable:
      octets = request(Version::socks5, command, unreachable_address, 0);
      break;
    case Errand::denied:
      octets = request(Version::socks5, command, denied_address, 0);
      break;
    case Errand::unknown_name:
      octets = request(Version::socks5, command, "nowhere.example", 0);
      break;
  }
  octets[2] = static_cast<char>(script.flags);
  if (script.ending == Ending::octet_with_request) octets += '\0';
  return octets;
}

int expected_reply(Errand errand) {
  if (errand == Errand::denied) return 2;
  return errand == Errand::unknown_name ? 4 : 0;
}

/// Lines, the last perhaps without its end; nothing where one is not what our encoder writes.
std::optional<std::vector<wire::IcmpLine>> read_lines(const std::string& text) {
  ConstBytes rest{reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  std::vector<wire::IcmpLine> lines;
  while (!rest.empty()) {
    auto result = wire::decode_icmp_line(rest);
    if (std::holds_alternative<wire::NeedMore>(result)) break;
    auto* const parsed = std::get_if<wire::Parsed<wire::IcmpLine>>(&result);
    if (parsed == nullptr) return std::nullopt;
    lines.push_back(parsed->value);
    rest = rest.subspan(parsed->consumed);
  }
  return lines;
}

class Prober final : public Talker {
 public:
  Prober(engine::SimEngine& engine, const Script& script, std::string request)
      : Talker(engine), script_(script), to_send_(std::string("\x05\x01\x00", 3) + request) {
    segment_ = script.segment;
  }
  void begin() { connect(client_address, server_endpoint); }

  [[nodiscard]] int reply() const {
    return seen().octets.size() < 12 ? -1 : static_cast<unsigned char>(seen().octets[3]);
  }
  [[nodiscard]] std::string text() const {
    return seen().octets.size() < 12 ? std::string() : seen().octets.substr(12);
  }

 private:
  void step() override {
    if (asleep()) return;
    reading_ = true;
    write(std::exchange(to_send_, {}));
    if (seen().fin) return write_fin();
    if (reply() != 0 || asked_) return;
    if (script_.slow && !was_slow_) {
      was_slow_ = true;
      reading_ = false;
      return sleep(std::chrono::seconds(45));  // less than the server waits for a reader
    }
    if (static_cast<std::size_t>(std::ranges::count(text(), '\n')) < script_.lines) return;
    asked_ = true;
    if (script_.ending == Ending::octet) write(std::string(1, '\0'));
    if (script_.ending == Ending::fin) write_fin();
    if (script_.ending == Ending::reset) reset();
  }

  const Script& script_;
  std::string to_send_;
  bool asked_ = false;
  bool was_slow_ = false;
};

class ProbeConversation final : public Conversation {
 public:
  ProbeConversation(const Surroundings& surroundings, const Script& script)
      : undisturbed_(surroundings.undisturbed),
        script_(script),
        client_(surroundings.engine, script_, request_for(script_, surroundings.number)) {
    add_name(surroundings.names, name_of("probed", surroundings.number), {denied_address, origin_address});
  }

  void begin() override { client_.begin(); }
  [[nodiscard]] bool done() const override { return client_.done(); }
  [[nodiscard]] std::string state() const override { return client_.state(); }
  void close() override { client_.close(); }
  [[nodiscard]] std::optional<std::string> complaint(const Ledger& ledger) const override;

 private:
  [[nodiscard]] std::optional<std::string> complaint_about(const std::vector<wire::IcmpLine>& lines) const;
  [[nodiscard]] std::optional<std::string> complaint_about_end(const std::vector<wire::IcmpLine>& lines) const;

  bool undisturbed_;
  Script script_;
  Prober client_;
};

std::optional<std::string> ProbeConversation::complaint(const Ledger& ledger) const {
  const int expected = expected_reply(script_.errand);
  const std::string text = client_.text();
  if (client_.reply() != 0 && !text.empty()) return "lines behind a refusal";
  if (text.find(hidden_router.to_string()) != std::string::npos) return "TS6: a router that the policy hides";
  const auto lines = read_lines(text);
  if (!lines) return "a line that is none: " + text;
  if (auto found = complaint_about(*lines)) return found;
  if (!undisturbed_) return std::nullopt;
  if (client_.reply() != expected) {
    return "reply " + std::to_string(client_.reply()) + " instead of " + std::to_string(expected);
  }
  const std::vector<Ledger::Entry> records = ledger.of(client_.local());
  if (records.size() != (expected == 0 ? 2U : 1U)) return "I6: " + std::to_string(records.size()) + " records";
  if (expected != 0 || script_.ending == Ending::reset) return std::nullopt;
  if (records.back().bytes_down != text.size()) return "I6: the record's octets are not those of the lines";
  if (!client_.seen().fin || client_.seen().failed) return "I8: no orderly end";
  return complaint_about_end(*lines);
}

// Whatever happened: what was said is true, in order, and said once.
std::optional<std::string> ProbeConversation::complaint_about(const std::vector<wire::IcmpLine>& lines) const {
  std::vector<std::uint32_t> sequences;
  std::size_t hops = 0;
  for (const wire::IcmpLine& line : lines) {
    if (const auto* answer = std::get_if<wire::PingAnswer>(&line)) {
      sequences.push_back(answer->sequence);
      if (answer->from != origin_address || answer->ttl != 62) return "TS7: an answer that nobody gave";
    }
    if (const auto* timeout = std::get_if<wire::PingTimeout>(&line)) sequences.push_back(timeout->sequence);
    if (const auto* failure = std::get_if<wire::PingFailure>(&line)) sequences.push_back(failure->sequence);
    if (const auto* hop = std::get_if<wire::TraceHop>(&line); hop != nullptr && hop->hop != ++hops)
      return "a hop's place";
  }
  std::ranges::sort(sequences);
  if (std::ranges::adjacent_find(sequences) != sequences.end()) return "TS7: two events of one probe";
  return std::nullopt;
}

std::optional<std::string> ProbeConversation::complaint_about_end(const std::vector<wire::IcmpLine>& lines) const {
  if (script_.trace) {
    const auto* const end = lines.empty() ? nullptr : std::get_if<wire::TraceEnd>(&lines.back());
    if (end == nullptr) return "no end of the trace";
    if (script_.ending != Ending::of_itself) return std::nullopt;
    const bool reaches = script_.errand == Errand::answering || script_.errand == Errand::by_name;
    if (reaches && end->outcome != wire::TraceOutcome::reached) return "the target was not reached";
    if (script_.errand == Errand::silent && end->outcome != wire::TraceOutcome::hop_limit) return "no hop limit";
    return std::nullopt;
  }
  const auto counts = std::ranges::find_if(
      lines, [](const wire::IcmpLine& line) { return std::holds_alternative<wire::PingCounts>(line); });
  if (counts == lines.end()) return "no statistics";
  const auto told = std::get<wire::PingCounts>(*counts);
  const auto answers = static_cast<std::size_t>(std::ranges::count_if(
      lines, [](const wire::IcmpLine& line) { return std::holds_alternative<wire::PingAnswer>(line); }));
  if (told.received != answers) return "the statistics count other answers than were told";
  const bool last = std::holds_alternative<wire::PingTimes>(lines.back());
  if (last != (answers > 0)) return "times without answers, or answers without times";
  return std::nullopt;
}

}  // namespace

std::unique_ptr<Conversation> make_probes(const Surroundings& surroundings, engine::Prng& prng) {
  return std::make_unique<ProbeConversation>(surroundings, random_script(prng));
}

}  // namespace stile::sim_test
