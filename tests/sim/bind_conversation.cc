#include "sim/bind_conversation.h"

#include <algorithm>
#include <vector>

#include "sim/places.h"
#include "sim/socks_client.h"

namespace stile::sim_test {
namespace {

using Bystander = engine::SimEngine::Bystander;

// Far enough apart that strangers and peer meet the server in this order, whatever the network does meanwhile.
constexpr auto stranger_interval = std::chrono::milliseconds(200);
constexpr auto peer_delay = std::chrono::seconds(2);
constexpr auto leave_delay = std::chrono::seconds(1);
constexpr auto late_stranger_delay = std::chrono::seconds(4);
constexpr auto freed_within = std::chrono::seconds(1);

/// Whom the client names, and what must come of it when nothing else goes wrong.
enum class Errand : std::uint8_t {
  named,         // a peer by its address
  anyone,        // whoever the policy admits
  by_name,       // a peer by a name
  unknown_name,  // that nobody knows
  denied,        // whom the policy does not admit
};
constexpr int errand_count = static_cast<int>(Errand::denied) + 1;

/// What happens while the client waits.
enum class Course : std::uint8_t { peer_comes, nobody_comes, client_leaves, client_resets };
constexpr int course_count = static_cast<int>(Course::client_resets) + 1;

struct Script {
  Version version = Version::socks5;
  bool ipv6 = false;  // all of it
  Errand errand = Errand::named;
  Course course = Course::peer_comes;
  std::size_t strangers = 0;  // that come before the peer
  bool late_stranger = false;
  std::string early;  // from the client, before the peer came
  std::string up;     // behind the second reply, by the client
  std::string down;   // by the peer
  std::size_t segment = 65536;
  bool client_fin_first = true;
  bool peer_resets = false;  // as soon as it is connected
  Between between;

  /// The client's server waits itself.
  [[nodiscard]] bool is_direct() const noexcept { return !between.servers || errand == Errand::anyone; }
  [[nodiscard]] bool waits() const noexcept {
    const bool refused = !is_direct() && between.bind_refusal != 0;
    return errand != Errand::unknown_name && errand != Errand::denied && !refused;
  }
  /// SOCKS4 gives up on the first peer that is not the right one (protocol reference, 3.2).
  [[nodiscard]] bool ended_by_stranger() const noexcept {
    return strangers > 0 && (is_direct() ? version == Version::socks4 : between.stranger_ends);
  }
  [[nodiscard]] bool leaves() const noexcept {
    return course == Course::client_leaves || course == Course::client_resets;
  }
  [[nodiscard]] bool joined() const noexcept { return waits() && course == Course::peer_comes && !ended_by_stranger(); }
};

Script random_script(engine::Prng& prng, const Between& between) {
  const auto chance = [&](unsigned in) { return prng.next() % in == 0; };
  Script script;
  script.between = between;
  if (chance(3)) script.version = Version::socks4;
  script.ipv6 = script.version == Version::socks5 && chance(3);
  script.errand = static_cast<Errand>(prng.next() % errand_count);
  if (chance(2)) script.course = static_cast<Course>(prng.next() % course_count);
  if (chance(2)) script.strangers = 1 + prng.next() % 3;
  script.late_stranger = chance(3);
  if (chance(2)) script.early = random_octets(prng).substr(0, prng.next() % 50'000);
  script.up = random_octets(prng);
  script.down = random_octets(prng);
  if (chance(3)) script.segment = 1 + prng.next() % 12;
  if (script.segment < 100) script.early.resize(std::min<std::size_t>(script.early.size(), 500));
  // A FIN behind a full hold is not read before the wait is over.
  if (script.course == Course::client_leaves) script.early.resize(std::min<std::size_t>(script.early.size(), 40'000));
  script.client_fin_first = chance(2);
  script.peer_resets = chance(8);
  if (!between.servers) return script;
  if (between.ipv4_only || script.errand == Errand::anyone) script.ipv6 = false;
  // Whether a name is missed or the command comes first.
  if (between.bind_refusal != 0 && script.errand == Errand::unknown_name) script.errand = Errand::by_name;
  // A reply that its sender's reset follows at once may be lost on the way through several.
  script.peer_resets = false;
  return script;
}

Address peer_of(const Script& script) {
  if (script.between.servers && script.errand == Errand::anyone) return near_address;
  return script.ipv6 ? origin_address6 : origin_address;
}

// Inside what the rule admits, and outside of it.
Address stranger_of(const Script& script, bool named) {
  if (named) return script.ipv6 ? other_address6 : other_address;
  if (script.between.servers) return origin_address;  // whom the client's server meets through others only
  return script.ipv6 ? stranger_address6 : stranger_address;
}

std::string request_for(const Script& script, std::size_t number) {
  const Version version = script.version;
  switch (script.errand) {
    case Errand::named:
      return request(version, Command::bind, peer_of(script), 0);
    case Errand::anyone:
      return request(version, Command::bind, script.ipv6 ? Address::parse("::").value() : Address{}, 0);
    case Errand::by_name:
      return request(version, Command::bind, name_of("peer", number), 0);
    case Errand::unknown_name:
      return request(version, Command::bind, std::string("nowhere.example"), 0);
    case Errand::denied:
      return request(version, Command::bind, denied_address, 0);
  }
  return {};
}

int expected_first(const Script& script) {
  switch (script.errand) {
    case Errand::unknown_name:
      return code_for(script.version, script.between.by_resolving[4]);
    case Errand::denied:
      return code_for(script.version, 2);
    default:
      return script.waits() ? 0 : code_for(script.version, script.between.bind_refusal);
  }
}

// Of the second reply; -1: none is due.
int expected_second(const Script& script) {
  if (!script.waits()) return -1;
  const auto told = [&](std::uint8_t code) {
    return code_for(script.version, script.is_direct() ? code : script.between.by_last[code]);
  };
  if (script.ended_by_stranger()) return told(2);
  if (script.leaves()) return -1;
  return script.course == Course::peer_comes ? 0 : told(4);
}

// ── the actors ───────────────────────────────────────────────────────────────────────────────────────────────────────

class Client final : public SocksClient {
 public:
  Client(engine::SimEngine& engine, const Script& script, std::size_t number)
      : SocksClient(engine, {.ipv6 = script.ipv6,
                             .version = script.version,
                             .request = request_for(script, number),
                             .segment = script.segment}),
        script_(script) {}

 private:
  void proceed() override;

  const Script& script_;
  bool early_written_ = false;
  bool payload_written_ = false;
};

// Somebody who connects to where the client listens.
class Visitor final : public Talker {
 public:
  Visitor(engine::SimEngine& engine, std::string octets, bool fin_first, bool resets)
      : Talker(engine), octets_(std::move(octets)), fin_first_(fin_first), resets_(resets) {}

  void come(const Address& from, const Endpoint& to, Duration delay) { connect_later(from, to, delay); }
  [[nodiscard]] const std::string& said() const noexcept { return octets_; }

 private:
  void step() override;

  std::string octets_;
  bool fin_first_;
  bool resets_;
  bool begun_ = false;
};

void Client::proceed() {
  if (code() < 0 && !seen().fin) return;
  if (code() != 0) return write_fin();
  if (!early_written_) {
    early_written_ = true;
    write(script_.early);
    if (script_.leaves()) return sleep(leave_delay);
  }
  if (script_.course == Course::client_resets) return reset();
  if (script_.course == Course::client_leaves) return write_fin();
  if (code(1) < 0 && !seen().fin) return;
  if (code(1) != 0) return write_fin();
  if (!payload_written_) {
    payload_written_ = true;
    write(script_.up);
  }
  if (script_.client_fin_first || seen().fin) write_fin();
}

void Visitor::step() {
  if (resets_) return reset();
  if (!begun_) {
    begun_ = true;
    write(octets_);
  }
  if (fin_first_ || seen().fin) write_fin();
}

// ── the conversation ────────────────────────────────────────────────────────────────────────────────────────────────

class BindConversation final : public Conversation {
 public:
  BindConversation(const Surroundings& surroundings, Script script);

  void begin() override {
    client_.begin();
    engine_.start_timer(look_, engine_.now());
  }
  [[nodiscard]] bool done() const override;
  [[nodiscard]] std::string state() const override;
  void close() override;
  [[nodiscard]] std::optional<std::string> complaint(const Ledger& ledger) const override;

 private:
  void on_look(engine::Status status);
  void invite();
  void find_out_whether_it_outlived();
  [[nodiscard]] std::optional<std::string> complaint_about_visitors(const std::vector<Ledger::Entry>& records) const;
  [[nodiscard]] std::optional<std::string> complaint_about_replies() const;
  [[nodiscard]] std::optional<std::string> complaint_about_records(const std::vector<Ledger::Entry>& records) const;
  [[nodiscard]] std::string whole_up() const { return script_.early + script_.up; }

  engine::SimEngine& engine_;
  bool undisturbed_;
  Script script_;
  Client client_;
  std::vector<std::unique_ptr<Visitor>> visitors_;
  Visitor* peer_ = nullptr;  // of visitors_: the one who is waited for
  engine::Timer look_;       // whether the client was told where it listens, later whether that is over
  std::optional<Endpoint> listening_;
  bool time_to_be_free_ = false;
  engine::Socket probe_;
  bool outlived_ = false;
};

BindConversation::BindConversation(const Surroundings& surroundings, Script script)
    : engine_(surroundings.engine),
      undisturbed_(surroundings.undisturbed),
      script_(std::move(script)),
      client_(engine_, script_, surroundings.number) {
  look_.bind<&BindConversation::on_look>(this);
  add_name(surroundings.names, name_of("peer", surroundings.number), {peer_of(script_)});
}

// Not a callback of the client's, so that peers come at an instant of their own.
void BindConversation::on_look(engine::Status status) {
  if (status != engine::Status::done) return;
  if (time_to_be_free_) return find_out_whether_it_outlived();
  const auto first = client_.reply(0);
  if (!listening_ && first && first->code == 0) {
    listening_ = first->bound;
    invite();
  }
  if (!client_.done()) {
    engine_.start_timer(look_, engine_.now() + std::chrono::milliseconds(50));
  } else if (listening_) {
    time_to_be_free_ = true;
    engine_.start_timer(look_, engine_.now() + freed_within);
  }
}

void BindConversation::invite() {
  const bool named = script_.errand != Errand::anyone;
  for (std::size_t i = 0; i < script_.strangers; ++i) {
    visitors_.push_back(std::make_unique<Visitor>(engine_, "from a stranger", true, false));
    visitors_.back()->come(stranger_of(script_, named), *listening_, stranger_interval * static_cast<int>(i + 1));
  }
  if (script_.course == Course::peer_comes) {
    visitors_.push_back(
        std::make_unique<Visitor>(engine_, script_.down, !script_.client_fin_first, script_.peer_resets));
    peer_ = visitors_.back().get();
    peer_->come(peer_of(script_), *listening_, peer_delay);
  }
  if (script_.late_stranger && script_.course == Course::peer_comes) {
    visitors_.push_back(std::make_unique<Visitor>(engine_, "from a stranger", true, false));
    visitors_.back()->come(peer_of(script_), *listening_, late_stranger_delay);
  }
}

// Where it listened, somebody else must be able to.
void BindConversation::find_out_whether_it_outlived() {
  const Bystander bystander(engine_);
  outlived_ = !engine_.listen(probe_, *listening_, {}).has_value();
  if (probe_.is_open()) engine_.close(probe_);
}

bool BindConversation::done() const {
  return client_.done() && !look_.pending() &&
         std::ranges::all_of(visitors_, [](const auto& one) { return one->done(); });
}

std::string BindConversation::state() const {
  std::string text = std::string("BIND, client ") + (client_.local() ? client_.local()->to_string() : "") +
                     client_.state() + ", errand " + std::to_string(static_cast<int>(script_.errand)) + ", course " +
                     std::to_string(static_cast<int>(script_.course));
  for (const auto& visitor : visitors_) text += ", visitor " + visitor->state();
  return text;
}

void BindConversation::close() {
  client_.close();
  for (const auto& visitor : visitors_) visitor->close();
  engine_.cancel(look_);
}

// ── what must hold ──────────────────────────────────────────────────────────────────────────────────────────────────

std::optional<std::string> BindConversation::complaint(const Ledger& ledger) const {
  if (outlived_) return "I5: where it listened is not free after the client is gone";
  const std::vector<Ledger::Entry> records = ledger.of(client_.local());
  if (auto found = complaint_about_visitors(records)) return found;
  if (!undisturbed_) return std::nullopt;
  if (auto found = complaint_about_replies()) return found;
  return complaint_about_records(records);
}

// Whoever it was joined with stands in its records; the second reply may be lost in a reset.
std::optional<std::string> BindConversation::complaint_about_visitors(const std::vector<Ledger::Entry>& records) const {
  const Visitor* joined = nullptr;
  for (const auto& visitor : visitors_) {
    const bool is_joined = !records.empty() && records.front().event == observe::Event::session_start &&
                           visitor->local() == records.front().address;
    if (is_joined) joined = visitor.get();
    if (!is_joined && !visitor->seen().octets.empty()) return "a stranger received something";
  }
  const auto second = client_.reply(1);
  if (second && second->code == 0 && (joined == nullptr || second->bound != joined->local())) {
    return "the second reply names somebody else than the record";
  }
  if (joined == nullptr) return client_.payload(2).empty() ? std::nullopt : std::optional("I7: something came behind");
  if (joined->local()->address != peer_of(script_)) return "I3: joined with a stranger";
  if (!is_prefix(joined->seen().octets, whole_up())) return "I1: the peer received what the client did not send";
  if (!is_prefix(client_.payload(2), joined->said())) return "I1, I7: the client received what the peer did not send";
  return std::nullopt;
}

// Where nothing went wrong but what the script says.
std::optional<std::string> BindConversation::complaint_about_replies() const {
  const std::pair expected{expected_first(script_), expected_second(script_)};
  // All servers stop waiting at the same time, and whoever is first says so in his own way.
  const bool nobody_came =
      !script_.is_direct() && script_.waits() && !script_.ended_by_stranger() && expected.second > 0;
  const bool second_fits = nobody_came ? client_.code(1) > 0 : client_.code(1) == expected.second;
  if (client_.code(0) != expected.first || !second_fits) {
    return "replies " + std::to_string(client_.code(0)) + ", " + std::to_string(client_.code(1)) + " instead of " +
           std::to_string(expected.first) + ", " + std::to_string(expected.second);
  }
  for (const auto& visitor : visitors_) {
    if (visitor.get() != peer_ && !visitor->seen().failed) return "a stranger was not turned away";
  }
  if (!script_.joined()) return std::nullopt;
  if (client_.reply(1)->bound != peer_->local()) return "the second reply does not name the peer";
  if (script_.peer_resets) return std::nullopt;
  if (client_.payload(2) != script_.down) return "I1: octets for the client are missing";
  if (peer_->seen().octets != whole_up()) return "I1: octets for the peer are missing";
  if (!client_.seen().fin || !peer_->seen().fin) return "I8: a FIN did not travel";
  if (client_.seen().failed || peer_->seen().failed) return "I8: an orderly end became a reset";
  return std::nullopt;
}

std::optional<std::string> BindConversation::complaint_about_records(const std::vector<Ledger::Entry>& records) const {
  if (records.size() != (script_.joined() ? 2U : 1U)) return "I6: " + std::to_string(records.size()) + " records";
  const Ledger::Entry& end = records.back();
  if (!script_.joined()) {
    if (!script_.is_direct()) return std::nullopt;  // the word of another
    if (script_.waits() && script_.ended_by_stranger() && end.reason != Reason::bind_peer) return "I6: not bind.peer";
    if (expected_second(script_) == code_for(script_.version, 4) && !script_.ended_by_stranger() &&
        end.reason != Reason::bind_timeout) {
      return "I6: not bind.timeout";
    }
    return std::nullopt;
  }
  if (end.address != peer_->local()) return "I6: the record does not name the peer";
  if (!script_.peer_resets && (end.bytes_up != whole_up().size() || end.bytes_down != script_.down.size())) {
    return "I6: the record's octets are not what was sent";
  }
  return std::nullopt;
}

}  // namespace

std::unique_ptr<Conversation> make_bind(const Surroundings& surroundings, engine::Prng& prng) {
  return std::make_unique<BindConversation>(surroundings, random_script(prng, surroundings.between));
}

}  // namespace stile::sim_test
