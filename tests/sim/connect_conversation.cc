#include "sim/connect_conversation.h"

#include <algorithm>

#include "sim/places.h"
#include "sim/socks_client.h"
#include "sim/talker.h"

namespace stile::sim_test {
namespace {

using Bystander = engine::SimEngine::Bystander;
constexpr auto slowness = std::chrono::seconds(2);

/// Where a client wants to go, and what must come of it when nothing else goes wrong.
enum class Errand : std::uint8_t {
  address,      // an origin by its address
  name,         // by its name
  dead_first,   // by a name whose first address never answers
  refused,      // nobody listens there
  silent,       // no answer at all
  denied,       // the policy forbids the address
  denied_name,  // a name that resolves into a forbidden range
  unknown_name,
  malformed,   // a request that no server could serve
  unfinished,  // the client ends in the middle of its request
  stalled,     // it says nothing more there, and waits
};
enum class Login : std::uint8_t { none, right, wrong };
inline constexpr int errand_count = static_cast<int>(Errand::stalled) + 1;

/// One conversation, as its script says.
struct Script {
  Version version = Version::socks5;
  bool ipv6 = false;  // from the client to the server
  Errand errand = Errand::address;
  Login login = Login::none;
  std::string up;                // client to origin
  std::string down;              // origin to client
  std::size_t optimistic = 0;    // octets of `up` sent behind the request at once
  std::size_t segment = 65536;   // the client writes at most this much at a time
  Duration pause{};              // between the client's segments of its handshake
  bool client_fin_first = true;  // who closes its direction without waiting for the other
  bool client_resets = false;    // in the middle
  bool origin_resets = false;
  bool slow_client = false;  // reads nothing for two seconds
  bool slow_origin = false;
};

std::uint16_t origin_port(std::size_t number) {
  return static_cast<std::uint16_t>(10'000 + number);
}

std::string request_for(const Script& script, std::size_t number) {
  const std::uint16_t port = origin_port(number);
  const auto to = [&](const auto& host, std::uint16_t at) {
    return request(script.version, Command::connect, host, at);
  };
  switch (script.errand) {
    case Errand::address:
      return to(origin_address, port);
    case Errand::name:
    case Errand::dead_first:
    case Errand::denied_name:
      return to(name_of("origin", number), port);
    case Errand::refused:
      return to(origin_address, static_cast<std::uint16_t>(port + 10'000));
    case Errand::silent:
      return to(dead_address, port);
    case Errand::denied:
      return to(denied_address, port);
    case Errand::unknown_name:
      return to(std::string("nowhere.example"), port);
    case Errand::malformed:
      return script.version == Version::socks5 ? std::string{5, 9, 0, 9} : std::string{4, 9, 0, 80, 1, 1, 1, 1, 0};
    case Errand::unfinished:
    case Errand::stalled:
      return to(origin_address, port).substr(0, 5);
  }
  return {};
}

// What the client is told when nothing else goes wrong; -1: the connection just ends.
int expected_reply(const Script& script, const Between& between) {
  if (script.login == Login::wrong) return -1;
  switch (script.errand) {
    case Errand::address:
    case Errand::name:
    case Errand::dead_first:
      return 0;
    case Errand::refused:
      return between.by_last[5];
    case Errand::silent:
      return between.by_last[4];
    case Errand::unknown_name:
      return between.by_resolving[4];
    case Errand::denied:
      return 2;
    case Errand::denied_name:
      return between.by_resolving[2];
    case Errand::malformed:
      return 7;
    case Errand::unfinished:
    case Errand::stalled:
      return -1;
  }
  return -1;
}

Script random_script(engine::Prng& prng, const Between& between) {
  const auto chance = [&](unsigned in) { return prng.next() % in == 0; };
  Script script;
  if (chance(3)) script.version = Version::socks4;
  if (between.servers && chance(3)) script.version = Version::http;
  script.ipv6 = chance(4);
  script.errand = chance(2) ? Errand::address : static_cast<Errand>(prng.next() % errand_count);
  if (script.version == Version::http && script.errand >= Errand::malformed) script.errand = Errand::name;
  script.up = random_octets(prng);
  script.down = random_octets(prng);
  if (script.errand < Errand::unfinished && chance(3))
    script.optimistic = std::min<std::size_t>(script.up.size(), prng.next() % 3000);
  if (chance(3)) script.segment = 1 + prng.next() % 12;
  if (chance(4)) script.pause = std::chrono::milliseconds(prng.next() % 30);
  if (script.version == Version::socks5 && chance(3)) script.login = chance(2) ? Login::right : Login::wrong;
  script.client_fin_first = chance(2);
  script.client_resets = chance(10);
  script.origin_resets = chance(10);
  script.slow_client = chance(6);
  script.slow_origin = chance(6);
  return script;
}

// ── the actors ───────────────────────────────────────────────────────────────────────────────────────────────────────

class Client final : public SocksClient {
 public:
  Client(engine::SimEngine& engine, const Script& script, std::size_t number)
      : SocksClient(engine, {.ipv6 = script.ipv6,
                             .version = script.version,
                             .user = script.login == Login::none ? "" : std::string(user),
                             .password = script.login == Login::right ? std::string(password) : "wrong",
                             .request = request_for(script, number),
                             .early = script.up.substr(0, script.optimistic),
                             .segment = script.segment,
                             .pause = script.pause}),
        script_(script) {}

 private:
  void proceed() override;

  const Script& script_;
  bool payload_begun_ = false;
};

class Origin final : public Talker {
 public:
  Origin(engine::SimEngine& engine, const Script& script, const Endpoint& at);
  /// Somebody connected.
  [[nodiscard]] bool visited() const noexcept { return visited_; }
  [[nodiscard]] bool quiet() const noexcept { return done() && !listener_.is_open() && !listener_.pending(); }
  void close_all();

 private:
  void on_accept(engine::Status status);
  void step() override;

  const Script& script_;
  engine::Socket listener_;
  engine::Socket late_;  // is turned away
  bool visited_ = false;
  bool begun_ = false;
};

void Client::proceed() {
  if (script_.errand == Errand::unfinished) return write_fin();
  if (code() < 0 && !seen().fin) return;
  if (code() != 0) return write_fin();
  if (!payload_begun_) {
    payload_begun_ = true;
    write(script_.up.substr(script_.optimistic));
    if (script_.slow_client) {
      reading_ = false;
      return sleep(slowness);
    }
  }
  reading_ = true;
  if (script_.client_resets) return reset();
  if (script_.client_fin_first || seen().fin) write_fin();
}

// ── Origin ──────────────────────────────────────────────────────────────────────────────────────────────────────────

Origin::Origin(engine::SimEngine& engine, const Script& script, const Endpoint& at) : Talker(engine), script_(script) {
  const Bystander bystander(engine_);
  listener_.bind<&Origin::on_accept>(this);
  if (engine_.listen(listener_, at, {})) engine_.wait(listener_, engine::Interest::readable);
}

void Origin::on_accept(engine::Status) {
  const Bystander bystander(engine_);
  if (!listener_.is_open()) return;
  engine_.wait(listener_, engine::Interest::readable);
  if (!visited_ && engine_.try_accept(listener_, socket_)) {
    visited_ = true;
    return act();
  }
  // Somebody between the client and here was lost behind his answer, and another tries in his place.
  if (visited_ && engine_.try_accept(listener_, late_)) engine_.abort(late_);
}

void Origin::step() {
  if (asleep()) return;
  if (!begun_) {
    begun_ = true;
    write(script_.down);
    if (script_.slow_origin) {
      reading_ = false;
      return sleep(slowness);
    }
  }
  reading_ = true;
  if (script_.origin_resets && !seen().octets.empty()) return reset();
  if (!script_.client_fin_first || seen().fin) write_fin();
}

void Origin::close_all() {
  close();
  const Bystander bystander(engine_);
  if (listener_.is_open()) engine_.close(listener_);
}

// ── the conversation ────────────────────────────────────────────────────────────────────────────────────────────────

// Where it must not be reached there is one too, so that whoever does is seen.
Address origin_of(Errand errand) {
  return errand == Errand::denied || errand == Errand::denied_name ? denied_address : origin_address;
}

class ConnectConversation final : public Conversation {
 public:
  ConnectConversation(const Surroundings& surroundings, Script script)
      : undisturbed_(surroundings.undisturbed),
        between_(surroundings.between),
        script_(std::move(script)),
        origin_(surroundings.engine, script_, {origin_of(script_.errand), origin_port(surroundings.number)}),
        client_(surroundings.engine, script_, surroundings.number) {
    std::vector<Address> addresses{origin_address};
    if (script_.errand == Errand::dead_first) addresses.insert(addresses.begin(), dead_address);
    if (script_.errand == Errand::denied_name) addresses = {denied_address};
    add_name(surroundings.names, name_of("origin", surroundings.number), addresses);
  }

  void begin() override { client_.begin(); }
  [[nodiscard]] bool done() const override { return client_.done(); }
  [[nodiscard]] std::string state() const override { return client_.state(); }
  void close() override {
    client_.close();
    origin_.close_all();
  }
  [[nodiscard]] std::optional<std::string> complaint(const Ledger& ledger) const override;

 private:
  [[nodiscard]] std::optional<std::string> complaint_about_records(const std::vector<Ledger::Entry>& records) const;

  bool undisturbed_;
  Between between_;
  Script script_;
  Origin origin_;
  Client client_;
};

std::optional<std::string> ConnectConversation::complaint(const Ledger& ledger) const {
  const int expected = code_for(script_.version, expected_reply(script_, between_));
  // What HTTP says to a refusal is no payload.
  const bool refused = script_.version == Version::http && client_.code() != 0;
  if (!refused && !is_prefix(client_.payload(), script_.down))
    return "I1, I7: the client received what the origin did not send";
  if (!is_prefix(origin_.seen().octets, script_.up)) return "I1: the origin received what the client did not send";
  if (origin_.visited() && expected != 0) return "I2, I3: an origin was reached that must not be";
  const std::vector<Ledger::Entry> records = ledger.of(client_.local());
  for (const Ledger::Entry& record : records) {
    if (record.address && record.address->address != origin_address) {
      return "I3: dialled " + record.address->to_string();
    }
  }
  if (!undisturbed_) return std::nullopt;
  if (client_.code() != expected) {
    return "reply " + std::to_string(client_.code()) + " instead of " + std::to_string(expected);
  }
  if (auto found = complaint_about_records(records)) return found;
  if (expected != 0 || script_.client_resets || script_.origin_resets) return std::nullopt;
  if (client_.payload() != script_.down) return "I1: octets for the client are missing";
  if (origin_.seen().octets != script_.up) return "I1: octets for the origin are missing";
  if (!client_.seen().fin || !origin_.seen().fin) return "I8: a FIN did not travel";
  if (client_.seen().failed || origin_.seen().failed) return "I8: an orderly end became a reset";
  return std::nullopt;
}

std::optional<std::string> ConnectConversation::complaint_about_records(
    const std::vector<Ledger::Entry>& records) const {
  const bool granted = expected_reply(script_, between_) == 0;
  if (records.size() != (granted ? 2U : 1U)) return "I6: " + std::to_string(records.size()) + " records";
  const bool exact = !script_.client_resets && !script_.origin_resets;
  const Ledger::Entry& end = records.back();
  if (end.user != (script_.login == Login::none || script_.version == Version::socks4 ? "" : user)) {
    return "I4: the record names '" + end.user + "'";
  }
  if (granted && exact && (end.bytes_up != script_.up.size() || end.bytes_down != script_.down.size())) {
    return "I6: the record's octets are not what was sent";
  }
  return std::nullopt;
}

}  // namespace

std::unique_ptr<Conversation> make_connect(const Surroundings& surroundings, engine::Prng& prng) {
  return std::make_unique<ConnectConversation>(surroundings, random_script(prng, surroundings.between));
}

}  // namespace stile::sim_test
