#include "preload/carrier.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <utility>

#include "base/limits.h"
#include "server/through_upstreams.h"
#include "sys/errno_table.h"
#include "sys/meeting_socket.h"
#include "sys/privileges.h"
#include "sys/random_octets.h"
#include "sys/record_socket.h"

namespace stile::preload {
namespace {

constexpr std::size_t askers_max = 512;                  // at once; the others wait
constexpr auto proof_silence = std::chrono::seconds(2);  // it is sent at once
constexpr auto asker_silence = std::chrono::seconds(30);
constexpr auto lone_for = std::chrono::seconds(10);  // the next command of a shell's script needs no new one

std::string own_name() {
  const auto text = sys::read_file("/proc/sys/kernel/hostname", limits::nsswitch_octets_max);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

/// Another user's links are closed unheard, so that nobody can keep this user's programs from being heard. Root's
/// carrier serves programs that have given root's rights up.
bool may_ask(int link) noexcept {
  const auto user = sys::peer_user(link);
  return user && (*user == 0 || *user == sys::own_user() || sys::is_root());
}

std::optional<HostName> host_name(ConstBytes octets) {
  auto host = canonical_host({reinterpret_cast<const char*>(octets.data()), octets.size()});
  if (!host || !std::holds_alternative<HostName>(*host)) return std::nullopt;
  return std::get<HostName>(*std::move(host));
}

}  // namespace

Result<Ground> Ground::open(const std::optional<Keys>& keys) {
  Ground ground;
  if (keys) {
    ground.keys = *keys;
    std::array<std::uint8_t, sizeof ground.first_stand_in> first{};
    if (auto filled = sys::fill_randomly(first); !filled) return std::unexpected(filled.error());
    ground.first_stand_in = std::bit_cast<std::uint32_t>(first);
  } else {
    for (Key* const key : {&ground.keys.name, &ground.keys.proof}) {
      if (auto filled = sys::fill_randomly(*key); !filled) return std::unexpected(filled.error());
    }
  }
  if (auto possible = sys::rehearse_meeting(); !possible) return std::unexpected(possible.error());
  const SocketName name = socket_name(ground.keys.name);
  auto questions = sys::listen_records({name.data(), name.size()});
  if (!questions) return std::unexpected(questions.error());
  ground.questions = *std::move(questions);
  auto v4 = sys::open_silent_listener({Address::v4(127, 0, 0, 1), 0});
  if (!v4) return std::unexpected(v4.error());
  ground.places.push_back(*std::move(v4));
  // There may be no IPv6.
  if (auto v6 = sys::open_silent_listener({*Address::parse("::1"), 0})) ground.places.push_back(*std::move(v6));
  return ground;
}

/// One link: a question, its answer, and its end.
class Carrier::Asker {
 public:
  Asker(Carrier& of, sys::UniqueFd link) : of_(of), link_(std::move(link)) {
    watch_.bind<&Asker::on_ready>(this);
    silence_.bind<&Asker::on_silence>(this);
    of_.engine_.adopt(watch_, link_.get());
    of_.engine_.wait(watch_, engine::Interest::readable);
    of_.engine_.start_timer(silence_, of_.engine_.now() + proof_silence);
  }
  void end() noexcept {
    if (std::exchange(over_, true)) return;
    of_.engine_.release(watch_);
    of_.engine_.cancel(silence_);
    link_.reset();
    if (calls_from_) of_.streams_.go(*calls_from_);
  }
  [[nodiscard]] bool at_rest() const noexcept { return over_ && !watch_.pending() && !silence_.pending(); }

 private:
  void on_ready(engine::Status status) {
    if (over_ || status == engine::Status::canceled) return of_.sweep();
    MessageRoom room;
    const auto received = sys::receive_record(link_.get(), room);
    if (!received && received.error().kind == ErrorKind::would_block) {
      return of_.engine_.wait(watch_, engine::Interest::readable);
    }
    const auto question = received ? decode_question(ConstBytes(room).first(*received)) : std::nullopt;
    if (!question || question->proof != of_.keys_.proof || asked_) return leave();
    asked_ = true;
    of_.engine_.start_timer(silence_, of_.engine_.now() + asker_silence);
    of_.know_program(link_.get());
    std::vector<std::uint8_t> text;
    const Answer answer = of_.answer(*question, text);
    if (question->kind == Kind::stream && answer.error == 0) calls_from_ = question->local;
    MessageRoom record;
    if (!sys::send_record(link_.get(), encode(answer, record))) return leave();
    of_.engine_.wait(watch_, engine::Interest::readable);
  }
  void on_silence(engine::Status status) {
    if (over_ || status == engine::Status::canceled) return of_.sweep();
    leave();
  }
  void leave() noexcept {
    end();
    of_.sweep();
  }

  Carrier& of_;
  sys::UniqueFd link_;
  engine::Socket watch_;
  engine::Timer silence_;
  std::optional<Endpoint> calls_from_;
  bool asked_ = false;
  bool over_ = false;
};

/// A process that has asked, until it ends.
class Carrier::Program {
 public:
  Program(Carrier& of, sys::UniqueFd ended) : of_(of), ended_(std::move(ended)) {
    watch_.bind<&Program::on_ended>(this);
    of_.engine_.adopt(watch_, ended_.get());
    of_.engine_.wait(watch_, engine::Interest::readable);
  }
  void forget() noexcept {
    gone_ = true;
    if (watch_.is_open()) of_.engine_.release(watch_);
    ended_.reset();
  }
  [[nodiscard]] bool gone() const noexcept { return gone_; }
  [[nodiscard]] bool at_rest() const noexcept { return gone_ && !watch_.pending(); }

 private:
  void on_ended(engine::Status) {
    forget();
    of_.rest_if_alone();
  }

  Carrier& of_;
  sys::UniqueFd ended_;
  engine::Socket watch_;
  bool gone_ = false;
};

Carrier::Carrier(engine::EpollEngine& engine, resolve::CaresResolver& dns, const route::UpstreamPlans& upstreams,
                 server::Reporter* reporter, Ground ground)
    : engine_(engine),
      resolver_(engine, dns, resolve::CachingResolver::Options{.hosts_path = "/etc/hosts"}),
      names_(limits::stand_in_names_max, ground.first_stand_in),
      answers_(names_, own_name()),
      hosts_("/etc/hosts"),
      upstreams_(engine, resolver_),
      streams_(engine, resolver_, {.upstreams = upstreams_, .via = server::names_of(upstreams)}, names_, reporter,
               std::move(ground.places)),
      datagrams_(engine, resolver_, {.upstreams = upstreams_, .via = server::names_of(upstreams)}, names_, answers_,
                 reporter),
      keys_(ground.keys),
      questions_(std::move(ground.questions)) {
  knocks_.bind<&Carrier::on_knock>(this);
  knock_again_.bind<&Carrier::on_knock_again>(this);
  lone_.bind<&Carrier::on_lone>(this);
  end_.bind<&Carrier::on_end>(this);
  resolver_closed_.bind<&Carrier::on_resolver_closed>(this);
  upstreams_.use(upstreams);
  engine_.adopt(knocks_, questions_.get());
  engine_.wait(knocks_, engine::Interest::readable);
}

Carrier::~Carrier() = default;

// ── questions ───────────────────────────────────────────────────────────────────────────────────────────────────────

void Carrier::on_knock(engine::Status status) {
  if (status == engine::Status::canceled) return;
  while (askers_.size() < askers_max) {
    auto link = sys::accept_records(questions_.get());
    if (!link && link.error().kind != ErrorKind::would_block) {
      return engine_.start_timer(knock_again_, engine_.now() + limits::accept_retry);
    }
    if (!link) break;
    if (!may_ask(link->get())) continue;
    askers_.push_back(std::make_unique<Asker>(*this, *std::move(link)));
  }
  if (askers_.size() < askers_max) engine_.wait(knocks_, engine::Interest::readable);
}

void Carrier::on_knock_again(engine::Status status) {
  if (status != engine::Status::canceled && knocks_.is_open() && !knocks_.pending()) on_knock(status);
}

void Carrier::sweep() noexcept {
  // Never within a call of the one that goes: it is at rest only behind its last completion.
  std::erase_if(askers_, [](const auto& asker) { return asker->at_rest(); });
  if (knocks_.is_open() && !knocks_.pending() && !knock_again_.pending())
    engine_.wait(knocks_, engine::Interest::readable);
}

Answer Carrier::answer(const Question& question, std::vector<std::uint8_t>& text) {
  switch (question.kind) {
    case Kind::stream:
      return streams_.begin(question.local, question.called);
    case Kind::about:
      return streams_.about(question.local, question.called);
    case Kind::datagram:
      return datagrams_.begin(question.local, question.called);
    case Kind::sender:
      return datagrams_.sender(question.local, question.called);
    case Kind::name:
      return addresses_of(question.octets);
    case Kind::address:
      return name_behind(question.called.address, text);
    case Kind::dns:
      break;
  }
  text = answers_.answer(question.octets);
  return Answer{.error = static_cast<std::uint16_t>(text.empty() ? EINVAL : 0), .octets = text};
}

Answer Carrier::addresses_of(ConstBytes octets) {
  const auto name = host_name(octets);
  if (!name) return Answer{.error = ENOENT};
  if (answers_.is_own(*name))
    return Answer{.first = {Address::v4(127, 0, 0, 1), 0}, .second = {*Address::parse("::1"), 0}};
  if (const std::vector<Address>* const known = hosts_.current(engine_.now()).find(*name); known != nullptr) {
    Answer answer;
    for (const Address& address : *known) (address.is_v4() ? answer.first : answer.second).address = address;
    return answer;
  }
  const auto addresses = names_.stand_ins_of(*name);
  if (!addresses) return Answer{.error = EAGAIN};
  return Answer{.first = {addresses->v4, 0}, .second = {addresses->v6, 0}};
}

Answer Carrier::name_behind(const Address& address, std::vector<std::uint8_t>& text) {
  std::optional<HostName> name = names_.name_of(address);
  if (!name) {
    const HostName* const known = hosts_.current(engine_.now()).find(address);
    if (known == nullptr) return Answer{.error = ENOENT};
    name = *known;
  }
  text.assign(name->text().begin(), name->text().end());
  return Answer{.octets = text};
}

// ── its end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void Carrier::end_with_programs() {
  counts_programs_ = true;
  rest_if_alone();
}

void Carrier::know_program(int link) {
  if (!counts_programs_) return;
  auto process = sys::peer_process(link);
  if (!process) return;  // it has ended already
  std::erase_if(programs_, [](const auto& one) { return one.second->at_rest(); });
  std::unique_ptr<Program>& program = programs_[process->id];
  if (program != nullptr) return;  // known; or its number was given anew, and it is known by its next question
  program = std::make_unique<Program>(*this, std::move(process->watch));
  engine_.cancel(lone_);
}

void Carrier::rest_if_alone() {
  const bool alone = std::ranges::all_of(programs_, [](const auto& one) { return one.second->gone(); });
  if (counts_programs_ && alone && !lone_.pending()) engine_.start_timer(lone_, engine_.now() + lone_for);
}

void Carrier::on_lone(engine::Status status) {
  std::erase_if(programs_, [](const auto& one) { return one.second->at_rest(); });
  if (status == engine::Status::canceled) return rest_if_alone();
  if (!programs_.empty()) return;
  if (!streams_.quiet() || !askers_.empty()) return engine_.start_timer(lone_, engine_.now() + lone_for);
  over_ = true;
  engine_.stop();
}

void Carrier::finish() {
  engine_.release(knocks_);
  engine_.cancel(knock_again_);
  questions_.reset();
  for (const auto& asker : askers_) asker->end();
  counts_programs_ = false;
  engine_.cancel(lone_);
  for (const auto& [id, program] : programs_) program->forget();
  streams_.finish(limits::run_end_quiet);
  datagrams_.finish();
  const Instant all = engine_.now() + limits::run_end_total;
  engine_.start_timer(end_, engine_.now() + limits::run_end_quiet);
  while (!streams_.quiet() || !datagrams_.quiet()) {
    engine_.run();
    if (end_.pending()) continue;
    datagrams_.stop();
    if (engine_.now() >= all) streams_.stop();
    engine_.start_timer(end_, engine_.now() + limits::run_end_quiet);
  }
  engine_.cancel(end_);
  streams_.settle();
  datagrams_.settle();
  upstreams_.stop();
  resolver_.close(resolver_closed_);
  while (!names_closed_) engine_.run();
  const auto at_rest = [](const auto& one) { return one->at_rest(); };
  while (!upstreams_.quiet() || knocks_.pending() || knock_again_.pending() || lone_.pending() || end_.pending() ||
         !std::ranges::all_of(askers_, at_rest) ||
         !std::ranges::all_of(programs_, [&](const auto& one) { return at_rest(one.second); })) {
    engine_.stop();
    engine_.run();
  }
}

void Carrier::stop() noexcept {
  streams_.stop();
  datagrams_.stop();
}

void Carrier::on_end(engine::Status) {
  engine_.stop();
}

}  // namespace stile::preload
