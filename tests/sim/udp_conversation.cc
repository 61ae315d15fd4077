#include "sim/udp_conversation.h"

#include <array>
#include <map>
#include <vector>

#include "sim/datagram_party.h"
#include "sim/places.h"
#include "sim/socks_client.h"
#include "wire/udp_header.h"

namespace stile::sim_test {
namespace {

using Bystander = engine::SimEngine::Bystander;

// Between two acts: longer than a datagram and its answer take, whatever the network does with them.
constexpr auto settled = std::chrono::milliseconds(300);
constexpr auto fragment_interval = std::chrono::milliseconds(100);
constexpr auto fragments_forgotten = std::chrono::seconds(6);
constexpr auto name_known = std::chrono::seconds(11);
constexpr auto pin_released = std::chrono::seconds(35);
constexpr auto pin_fresh = std::chrono::seconds(20);
constexpr auto mappings_forgotten = std::chrono::seconds(310);
constexpr auto freed_within = std::chrono::seconds(1);

enum class Act : std::uint8_t {
  datagram,
  burst,
  fragments,      // a whole sequence
  gap,            // one without its middle
  late_fragment,  // one whose end comes too late
  malformed,      // that no relay could send on
  denied,         // to where the policy forbids
  to_ourselves,   // to the server and to the relay itself
  unknown_name,
  stranger,       // somebody else sends to the relay
  other_port,     // the client itself, from a port that is not pinned
  unsolicited,    // somebody whom the client never sent to answers
  target_speaks,  // a target that the client has sent to, of its own accord
  idle,           // until the targets are forgotten; then one of them speaks
  change_port,    // after a silence, from another port
};
constexpr int act_count = static_cast<int>(Act::change_port) + 1;

struct Script {
  bool ipv6 = false;  // from the client to the server
  std::vector<Act> acts;
  bool ends_by_reset = false;
};

Script random_script(engine::Prng& prng) {
  Script script;
  script.ipv6 = prng.next() % 3 == 0;
  const std::size_t acts = 1 + prng.next() % 16;
  bool idled = false;
  for (std::size_t i = 0; i < acts; ++i) {
    const Act act = prng.next() % 3 == 0 ? Act::datagram : static_cast<Act>(prng.next() % act_count);
    if (act == Act::idle && std::exchange(idled, true)) continue;
    script.acts.push_back(act);
  }
  script.ends_by_reset = prng.next() % 2 == 0;
  return script;
}

// The control connection.
class Control final : public SocksClient {
 public:
  Control(engine::SimEngine& engine, bool ipv6)
      : SocksClient(engine, {.ipv6 = ipv6, .request = request(Version::socks5, Command::associate, Address{}, 0)}) {}

  void end(bool by_reset) {
    const Bystander bystander(engine_);
    over_ = true;
    by_reset_ = by_reset;
    if (socket_.is_open()) act();
  }

 private:
  void proceed() override {
    if (code() < 0 && !seen().fin) return;
    if (code() != 0 || seen().fin || (over_ && !by_reset_)) return write_fin();
    if (over_) reset();
  }

  bool over_ = false;
  bool by_reset_ = false;
};

/// What may be seen of a datagram: nothing, or its payload at one place.
struct Fate {
  std::size_t receiver;  // of parties; the client's: see `Place`
  std::size_t seen = 0;
};

enum Place : std::size_t { near, other, far6, forbidden, never_asked, outsider, place_count };

class UdpConversation final : public Conversation {
 public:
  UdpConversation(const Surroundings& surroundings, engine::Prng& prng);

  void begin() override {
    control_.begin();
    sleep(settled);
  }
  [[nodiscard]] bool done() const override { return over_ && control_.done(); }
  [[nodiscard]] std::string state() const override;
  void close() override;
  [[nodiscard]] std::optional<std::string> complaint(const Ledger& ledger) const override;

 private:
  void sleep(Duration duration) { engine_.start_timer(pause_, engine_.now() + duration); }
  void on_pause(engine::Status status);
  [[nodiscard]] Duration perform(Act act);
  [[nodiscard]] Duration perform_rarely(Act act);
  [[nodiscard]] Duration finish();
  void probe(const Endpoint& bound);

  // What is sent. Wanted payloads must arrive where they are meant to, others nowhere.
  [[nodiscard]] std::string payload(std::size_t octets);
  [[nodiscard]] std::string wanted_at(Place place, std::size_t octets);
  [[nodiscard]] Target target_at(Place place) const { return {parties_[place]->where().address, port_}; }
  void send(const Target& target, const std::string& octets, std::uint8_t fragment = 0);
  void send_wanted(std::size_t octets_max);
  [[nodiscard]] Duration send_fragments();
  void target_speaks(bool wanted);

  // What is received.
  void at_target(std::size_t place, const Endpoint& from, const std::string& octets);
  void at_client(std::size_t port, const Endpoint& from, const std::string& octets);
  void complain(const std::string& what) {
    if (!complaint_) complaint_ = what;
  }
  [[nodiscard]] std::optional<std::string> complaint_about_totals(const Ledger& ledger) const;

  engine::SimEngine& engine_;
  engine::Prng prng_;
  bool undisturbed_;
  std::size_t number_;
  std::uint16_t port_;  // of all parties
  Script script_;
  Control control_;
  std::array<std::unique_ptr<DatagramParty>, place_count> parties_;
  std::array<std::unique_ptr<DatagramParty>, 2> ports_;  // the client's own
  std::size_t active_ = 0;                               // of ports_
  bool confirmed_ = false;                               // the active one was answered, so that it is pinned
  Instant last_answer_{};                                // to the active one
  std::array<std::optional<Endpoint>, 2> outgoing_;      // the relay's, by family, as targets saw it
  bool near_asked_ = false;                              // and not forgotten
  std::map<std::string, Fate> up_;                       // wanted payloads
  std::map<std::string, std::size_t> down_;              // wanted answers and how often they were seen
  std::map<std::string, Endpoint> answers_from_;
  engine::Timer pause_;
  std::vector<std::function<void()>> later_;  // one a pause, before the next act
  Duration later_interval_{};
  std::size_t next_act_ = 0;
  std::size_t serial_ = 0;
  int finishing_ = 0;
  bool over_ = false;
  std::optional<std::string> complaint_;
};

UdpConversation::UdpConversation(const Surroundings& surroundings, engine::Prng& prng)
    : engine_(surroundings.engine),
      prng_(prng.next()),
      undisturbed_(surroundings.undisturbed),
      number_(surroundings.number),
      port_(static_cast<std::uint16_t>(20'000 + surroundings.number)),
      script_(random_script(prng)),
      control_(engine_, script_.ipv6) {
  pause_.bind<&UdpConversation::on_pause>(this);
  const std::array<Address, place_count> addresses{origin_address, origin_address, origin_address6,
                                                   denied_address, other_address,  stranger_address};
  for (std::size_t i = 0; i < place_count; ++i) {
    const auto port = static_cast<std::uint16_t>(i == other ? port_ + 1'000 : port_);
    parties_[i] = std::make_unique<DatagramParty>(
        engine_, Endpoint{addresses[i], port},
        [this, i](const Endpoint& from, const std::string& octets) { at_target(i, from, octets); });
  }
  const Address& client = script_.ipv6 ? client_address6 : client_address;
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    const auto port = static_cast<std::uint16_t>(21'000 + 10 * number_ + i);
    ports_[i] = std::make_unique<DatagramParty>(
        engine_, Endpoint{client, port},
        [this, i](const Endpoint& from, const std::string& octets) { at_client(i, from, octets); });
  }
  add_name(surroundings.names, name_of("near", number_), {origin_address, origin_address6});
  add_name(surroundings.names, name_of("far", number_), {origin_address6});
  add_name(surroundings.names, name_of("inside", number_), {denied_address});
}

// ── what happens ────────────────────────────────────────────────────────────────────────────────────────────────────

void UdpConversation::on_pause(engine::Status status) {
  if (status != engine::Status::done || over_) return;
  if (!later_.empty()) {
    const std::function<void()> next = std::move(later_.front());
    later_.erase(later_.begin());
    next();
    return sleep(later_.empty() ? fragments_forgotten : later_interval_);
  }
  if (control_.code() != 0) {
    if (!control_.done()) return sleep(settled);
    over_ = true;
    return;
  }
  if (next_act_ < script_.acts.size()) return sleep(perform(script_.acts[next_act_++]));
  const Duration pause = finish();
  if (!over_) sleep(pause);
}

Duration UdpConversation::perform(Act act) {
  switch (act) {
    case Act::datagram:
      send_wanted(60'000);
      return name_known;
    case Act::burst:
      for (int i = 0; i < 8; ++i) send_wanted(1'400);
      return name_known;
    case Act::fragments:
      return send_fragments();
    case Act::gap:
      send(target_at(near), payload(100), 0x01);
      later_ = {[this] { send(target_at(near), payload(100), 0x83); }};
      later_interval_ = fragment_interval;
      return fragment_interval;
    case Act::late_fragment:
      send(target_at(near), payload(100), 0x01);
      later_ = {[this] { send(target_at(near), payload(100), 0x82); }};
      later_interval_ = fragments_forgotten;
      return fragments_forgotten;
    case Act::malformed:
      ports_[active_]->send(control_.reply()->bound, std::string{0, 0, 0, 1, 1, 2});
      ports_[active_]->send(control_.reply()->bound, std::string{0, 0, 0, 2, 1, 2, 3, 4, 5, 6} + payload(20));
      send({parties_[near]->where().address, 0}, payload(20));
      return settled;
    case Act::denied:
      send(target_at(forbidden), payload(50));
      send({.host = *canonical_host(name_of("inside", number_)), .port = port_}, payload(50));
      return name_known;
    case Act::to_ourselves:
      for (const Endpoint& own : {server_endpoint, server_endpoint6, control_.reply()->bound}) {
        send({own.address, own.port}, payload(50));
      }
      return settled;
    default:
      return perform_rarely(act);
  }
}

Duration UdpConversation::perform_rarely(Act act) {
  switch (act) {
    case Act::unknown_name:
      send({.host = *canonical_host("nowhere.example"), .port = port_}, payload(50));
      return name_known;
    case Act::stranger: {
      const auto header = wire::encode_udp_header(target_at(near), {0});
      parties_[outsider]->send(control_.reply()->bound,
                               std::string(header.octets().begin(), header.octets().end()) + payload(30));
      return settled;
    }
    case Act::other_port: {
      // Only where the other one is known to be pinned, and to have been heard of lately.
      if (!confirmed_ || engine_.now() - last_answer_ > pin_fresh) return settled;
      active_ = 1 - active_;
      send(target_at(near), payload(30));
      active_ = 1 - active_;
      return settled;
    }
    case Act::unsolicited:
      for (const auto& outgoing : outgoing_) {
        if (outgoing && outgoing->address.is_v4()) parties_[never_asked]->send(*outgoing, payload(30));
      }
      return settled;
    case Act::target_speaks:
      target_speaks(near_asked_);
      return settled;
    case Act::idle:
      later_ = {[this] {
        near_asked_ = false;
        target_speaks(false);
      }};
      return mappings_forgotten;
    default:
      // Act::change_port
      later_ = {[this] {
        active_ = 1 - active_;
        confirmed_ = false;
        send_wanted(1'400);
      }};
      return pin_released;
  }
}

// The control connection ends; what is sent later goes nowhere, and the ports are free.
Duration UdpConversation::finish() {
  switch (finishing_++) {
    case 0:
      control_.end(script_.ends_by_reset);
      return freed_within;
    case 1:
      send(target_at(near), payload(40));
      target_speaks(false);
      probe(control_.reply()->bound);
      for (const auto& outgoing : outgoing_) {
        if (!outgoing) continue;
        const Address any = outgoing->address.is_v4() ? Address{} : Address::parse("::").value();
        probe({any, outgoing->port});
      }
      return settled;
    default:
      over_ = true;
      return {};
  }
}

void UdpConversation::probe(const Endpoint& bound) {
  const Bystander bystander(engine_);
  engine::Socket socket;
  if (!engine_.open_udp(socket, bound)) return complain("I12: the relay outlived its control connection");
  engine_.close(socket);
}

// ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────────────

// No two are alike.
std::string UdpConversation::payload(std::size_t octets) {
  std::string text = std::to_string(number_) + "/" + std::to_string(serial_++) + ".";
  if (text.size() < octets) text.append(octets - text.size(), static_cast<char>('a' + serial_ % 26));
  return text;
}

std::string UdpConversation::wanted_at(Place place, std::size_t octets) {
  std::string text = payload(octets);
  up_[text] = {.receiver = place};
  return text;
}

void UdpConversation::send(const Target& target, const std::string& octets, std::uint8_t fragment) {
  const auto header = wire::encode_udp_header(target, {fragment});
  ports_[active_]->send(control_.reply()->bound, std::string(header.octets().begin(), header.octets().end()) + octets);
}

void UdpConversation::send_wanted(std::size_t octets_max) {
  const std::size_t sizes[] = {1, 16, 200, 1'400, 9'000, 60'000};
  const std::size_t octets = std::min(octets_max, sizes[prng_.next() % 6]);
  const std::size_t to_name = std::min<std::size_t>(octets, 1'400);  // a few wait for it, within the bound
  const auto by_name = [&](std::string_view who) {
    return Target{.host = *canonical_host(name_of(who, number_)), .port = port_};
  };
  switch (prng_.next() % 5) {
    case 0:
      near_asked_ = true;
      return send(target_at(near), wanted_at(near, octets));
    case 1:
      near_asked_ = true;  // its address is the same
      return send({parties_[other]->where().address, parties_[other]->where().port}, wanted_at(other, octets));
    case 2:
      return send(target_at(far6), wanted_at(far6, octets));
    case 3:
      near_asked_ = true;
      return send(by_name("near"), wanted_at(near, to_name));
    default:
      return send(by_name("far"), wanted_at(far6, to_name));
  }
}

Duration UdpConversation::send_fragments() {
  const std::size_t count = 1 + prng_.next() % 4;
  std::string whole;
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < count; ++i) parts.push_back(payload(1 + prng_.next() % 1'000));
  for (const std::string& part : parts) whole += part;
  up_[whole] = {.receiver = near};
  near_asked_ = true;
  for (std::size_t i = 0; i < count; ++i) {
    const auto octet = static_cast<std::uint8_t>((i + 1) | (i + 1 == count ? 0x80 : 0));
    later_.push_back([this, part = parts[i], octet] { send(target_at(near), part, octet); });
  }
  later_interval_ = fragment_interval;
  return fragment_interval;
}

// Of its own accord, to where it saw datagrams come from.
void UdpConversation::target_speaks(bool wanted) {
  const auto& outgoing = outgoing_[0];
  if (!outgoing) return;
  const std::string text = payload(60);
  if (wanted) {
    down_[text] = 0;
    answers_from_[text] = parties_[near]->where();
  }
  parties_[near]->send(*outgoing, text);
}

// ── receiving ───────────────────────────────────────────────────────────────────────────────────────────────────────

void UdpConversation::at_target(std::size_t place, const Endpoint& from, const std::string& octets) {
  const auto found = up_.find(octets);
  if (found == up_.end()) return complain("I3, I12: '" + octets.substr(0, 20) + "' was relayed");
  Fate& fate = found->second;
  if (fate.receiver != place) return complain("I3: a datagram came to the wrong target");
  if (from.address != (from.address.is_v4() ? server_endpoint : server_endpoint6).address) {
    return complain("a datagram from somewhere else than the relay");
  }
  ++fate.seen;
  outgoing_[from.address.is_v4() ? 0 : 1] = from;
  const std::string answer = "re " + octets.substr(0, 1'000);
  down_.try_emplace(answer, 0);
  answers_from_[answer] = parties_[place]->where();
  parties_[place]->send(from, answer);
}

void UdpConversation::at_client(std::size_t port, const Endpoint& from, const std::string& octets) {
  if (!control_.reply() || from != control_.reply()->bound) return complain("a datagram from elsewhere than BND");
  const auto decoded = wire::decode_udp_header({reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()});
  const auto* const header = std::get_if<wire::Parsed<wire::UdpHeader>>(&decoded);
  if (header == nullptr || !header->value.fragment.stands_alone()) return complain("a header that is none");
  const std::string answer = octets.substr(header->consumed);
  const auto found = down_.find(answer);
  if (found == down_.end()) return complain("TU3: '" + answer.substr(0, 20) + "' was passed to the client");
  const auto target = header->value.address.target();
  const Endpoint& sender = answers_from_[answer];
  if (!target || target->port != sender.port || target->address() == nullptr || *target->address() != sender.address) {
    return complain("a header that does not name the sender");
  }
  if (port != active_ && confirmed_) return complain("I12: an answer to a port that is not pinned");
  ++found->second;
  if (port != active_) return;
  confirmed_ = true;
  last_answer_ = engine_.now();
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

std::string UdpConversation::state() const {
  std::string text = "UDP, control" + control_.state() + ", acts";
  for (std::size_t i = 0; i < next_act_; ++i) text += " " + std::to_string(static_cast<int>(script_.acts[i]));
  return text + (over_ ? ", over" : "");
}

void UdpConversation::close() {
  over_ = true;
  control_.close();
  for (const auto& party : parties_) party->close();
  for (const auto& party : ports_) party->close();
  engine_.cancel(pause_);
}

std::optional<std::string> UdpConversation::complaint(const Ledger& ledger) const {
  if (complaint_) return complaint_;
  if (!undisturbed_) return std::nullopt;
  if (control_.code() != 0) return "reply " + std::to_string(control_.code()) + " instead of 0";
  for (const auto& [octets, fate] : up_) {
    if (fate.seen == 0) return "'" + octets.substr(0, 20) + "' did not reach its target";
  }
  for (const auto& [octets, seen] : down_) {
    if (seen == 0) return "'" + octets.substr(0, 20) + "' did not reach the client";
  }
  return complaint_about_totals(ledger);
}

std::optional<std::string> UdpConversation::complaint_about_totals(const Ledger& ledger) const {
  const std::vector<Ledger::Entry> records = ledger.of(control_.local());
  if (records.size() != 2) return "I6: " + std::to_string(records.size()) + " records";
  const Reason reason = script_.ends_by_reset ? Reason::reset_client : Reason::fin_client;
  if (records.back().reason != reason) return "I6: the association ended for another reason";
  if (engine_.faults().udp_duplicate > 0) return std::nullopt;
  if (records.back().packets_up != up_.size() || records.back().packets_down != down_.size()) {
    return "I6: " + std::to_string(records.back().packets_up) + " up and " +
           std::to_string(records.back().packets_down) + " down in the record, not " + std::to_string(up_.size()) +
           " and " + std::to_string(down_.size());
  }
  return std::nullopt;
}

}  // namespace

std::unique_ptr<Conversation> make_udp(const Surroundings& surroundings, engine::Prng& prng) {
  return std::make_unique<UdpConversation>(surroundings, prng);
}

}  // namespace stile::sim_test
