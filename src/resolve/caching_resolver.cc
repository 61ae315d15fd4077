#include "resolve/caching_resolver.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "resolve/address_order.h"
#include "resolve/lookup_state.h"

namespace stile::resolve {
namespace {

/// Names below these are never asked in DNS (RFC 6761, 7686, 6762, 9476), but for `local` where the operator says whom.
constexpr std::array<std::string_view, 4> reserved_names{"invalid", "onion", "local", "alt"};

bool is_below_any(const HostName& name, std::span<const std::string_view> suffixes) {
  return std::ranges::any_of(suffixes, [&](std::string_view suffix) { return name.is_or_below(suffix); });
}

/// RFC 6761 section 6.3, and the security reference, section 4.3.
std::optional<Answer> loopback_answer(const Host& subject) {
  const auto* const name = std::get_if<HostName>(&subject);
  if (name == nullptr || !name->is_or_below("localhost")) return std::nullopt;
  std::array<std::uint8_t, 16> loopback{};
  loopback.back() = 1;
  return Answer{.addresses = {Address::v4(127, 0, 0, 1), Address::v6(loopback)}, .reason = Reason::none};
}

void count(Counter* counter) noexcept {
  if (counter != nullptr) counter->add();
}

}  // namespace

/// One name or address in flight. Lives until its timer is quiet, which is after the question has ended.
class CachingResolver::Question final : public Asker {
 public:
  Question(CachingResolver& resolver, std::uint64_t id, const Host& subject)
      : resolver_(resolver), id_(id), subject_(subject), deadline_(resolver.engine_.now() + resolver.options_.total) {
    timer_.bind<&Question::on_timer>(this);
  }

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] const Host& subject() const noexcept { return subject_; }

  ~Question() { leave_part(); }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;

  void start() {
    part_ = &resolver_.backend_.part_for(subject_);
    ++resolver_.open_[part_];
    resolver_.engine_.start_timer(timer_, deadline_);
    if (const auto* const address = std::get_if<Address>(&subject_)) {
      resolver_.backend_.ask_name(id_, *address, *this);
    } else {
      resolver_.backend_.ask(id_, std::get<HostName>(subject_), *this);
    }
  }

  /// Nothing of what was heard counts any longer; who was told the first family's addresses keeps them.
  void ask_again() {
    if (ended_) return;
    resolver_.backend_.forget(id_);
    halves_ = {};
    partly_told_ = false;
    leave_part();
    start();
  }

  void join(Lookup& lookup) {
    if (partly_told_) {
      LookupState::complete(resolver_.engine_, lookup, answer());
    } else {
      LookupState::link(waiting_, lookup);
    }
  }

  void on_family(Family family, FamilyAnswer answer) override {
    if (ended_) return;
    half(family) = std::move(answer);
    if (half(Family::ipv4) && half(Family::ipv6)) {
      end();
    } else if (half(family)->reason == Reason::none) {
      const Instant wait_end = resolver_.engine_.now() + resolver_.options_.second_family_wait;
      resolver_.engine_.start_timer(timer_, std::min(wait_end, deadline_));
    }
  }

  void on_name(NameAnswer answer) override {
    if (ended_) return;
    named_ = std::move(answer);
    end();
  }

  /// Ends without an answer; those who wait are cancelled.
  void abandon() noexcept {
    while (waiting_ != nullptr) {
      Lookup& lookup = *waiting_;
      LookupState::unlink(lookup);
      LookupState::cancel(resolver_.engine_, lookup);
    }
    if (!ended_) stop();
  }

 private:
  [[nodiscard]] std::optional<FamilyAnswer>& half(Family family) noexcept {
    return halves_[static_cast<std::size_t>(family)];
  }

  void on_timer(engine::Status status) {
    if (!ended_ && status == engine::Status::done) {
      if (resolver_.engine_.now() < deadline_) {
        partly_told_ = true;
        tell(answer());
        resolver_.engine_.start_timer(timer_, deadline_);
        return;
      }
      resolver_.backend_.forget(id_);
      end();
    }
    if (ended_) resolver_.destroy(*this);
  }

  /// What is in by then: nothing yet counts as failed.
  [[nodiscard]] Answer answer() {
    if (std::holds_alternative<HostName>(subject_)) return answer_of_halves();
    if (!named_) return Answer{.addresses = {}, .reason = Reason::dns_failed};
    return Answer{.addresses = {}, .reason = named_->reason, .name = named_->name};
  }

  /// What the halves that are in give together; a missing one counts as failed.
  [[nodiscard]] Answer answer_of_halves() {
    Answer answer{.addresses = {}, .reason = Reason::dns_not_found};
    for (const auto& half : halves_) {
      if (half) answer.addresses.insert(answer.addresses.end(), half->addresses.begin(), half->addresses.end());
      // A family that could not be asked may have addresses: only two denials are a denial of the name.
      if (!half || half->reason == Reason::dns_failed) answer.reason = Reason::dns_failed;
    }
    if (answer.addresses.empty()) return answer;
    answer.addresses = resolver_.ordered(answer.addresses);
    answer.reason = Reason::none;
    return answer;
  }

  /// The shortest time of what decided the answer.
  [[nodiscard]] Duration ttl(Reason reason) const noexcept {
    std::optional<Duration> shortest;
    if (named_) shortest = named_->ttl;
    for (const auto& half : halves_) {
      if (half && half->reason == reason) shortest = std::min(shortest.value_or(half->ttl), Duration(half->ttl));
    }
    return shortest.value_or(Duration::zero());
  }

  void tell(const Answer& answer) {
    while (waiting_ != nullptr) {
      Lookup& lookup = *waiting_;
      LookupState::unlink(lookup);
      LookupState::complete(resolver_.engine_, lookup, answer);
    }
  }

  void end() {
    Answer whole = answer();
    tell(whole);
    const Duration kept = ttl(whole.reason);
    if (resolver_.cache_.put(subject_, std::move(whole), kept, resolver_.engine_.now())) {
      count(resolver_.options_.counters.evicted);
    }
    resolver_.follow_entries();
    stop();
  }

  void leave_part() noexcept {
    const auto open = resolver_.open_.find(part_);
    if (open != resolver_.open_.end() && --open->second == 0) resolver_.open_.erase(open);
  }

  void stop() noexcept {
    ended_ = true;
    resolver_.detach(*this);
    resolver_.engine_.cancel(timer_);
  }

  CachingResolver& resolver_;
  std::uint64_t id_;
  Host subject_;
  const Backend* part_ = nullptr;  // whom it was asked of
  Instant deadline_;
  engine::Timer timer_;  // runs to the end of the wait for the second family, else to the deadline
  std::array<std::optional<FamilyAnswer>, 2> halves_;  // by Family
  std::optional<NameAnswer> named_;                    // where the subject is an address
  Lookup* waiting_ = nullptr;
  bool partly_told_ = false;  // those who waited have the first family's addresses
  bool ended_ = false;
};

CachingResolver::CachingResolver(engine::Engine& engine, Backend& backend, Options options)
    : engine_(engine),
      backend_(backend),
      options_(std::move(options)),
      hosts_(options_.hosts_path, options_.read_file),
      cache_(options_.answers_max) {}

CachingResolver::~CachingResolver() {
  STILE_ASSERT(questions_.empty());
}

void CachingResolver::resolve(Lookup& lookup, const HostName& name) {
  find(lookup, name);
}

void CachingResolver::reverse(Lookup& lookup, const Address& address) {
  find(lookup, address);
}

void CachingResolver::find(Lookup& lookup, const Host& subject) {
  LookupState::reset(lookup);
  if (closed_ != nullptr) {
    LookupState::cancel(engine_, lookup);
  } else if (auto known = answer_without_asking(subject)) {
    LookupState::complete(engine_, lookup, std::move(*known));
  } else if (const auto asking = asking_.find(subject); asking != asking_.end()) {
    count(options_.counters.joined);
    asking->second->join(lookup);
  } else if (is_busy(subject)) {
    count(options_.counters.busy);
    LookupState::complete(engine_, lookup, Answer{.addresses = {}, .reason = Reason::dns_failed});
  } else {
    count(options_.counters.misses);
    ask(lookup, subject);
  }
}

bool CachingResolver::is_busy(const Host& subject) const {
  const auto open = open_.find(&backend_.part_for(subject));
  return open != open_.end() && open->second >= options_.in_flight_max;
}

std::optional<Answer> CachingResolver::answer_without_asking(const Host& subject) {
  if (auto loopback = loopback_answer(subject)) return loopback;
  if (overrides_ != nullptr) {
    if (auto given = answer_of(*overrides_, subject)) return given;
  }
  if (is_reserved(subject)) return Answer{.addresses = {}, .reason = Reason::dns_reserved};
  if (auto kept = answer_of(hosts_.current(engine_.now()), subject)) return kept;
  return cached_answer(subject);
}

bool CachingResolver::is_reserved(const Host& subject) const {
  const auto* const name = std::get_if<HostName>(&subject);
  if (name == nullptr || !is_below_any(*name, reserved_names)) return false;
  return !name->is_or_below("local") || !backend_.claims(*name);
}

std::optional<Answer> CachingResolver::cached_answer(const Host& subject) {
  const Answer* const cached = cache_.find(subject, engine_.now());
  follow_entries();
  if (cached == nullptr) return std::nullopt;
  count(cached->reason == Reason::none ? options_.counters.hits : options_.counters.negative_hits);
  return *cached;
}

std::optional<Answer> CachingResolver::answer_of(const HostsTable& hosts, const Host& subject) {
  if (const auto* const address = std::get_if<Address>(&subject)) {
    const HostName* const name = hosts.find(*address);
    if (name == nullptr) return std::nullopt;
    return Answer{.addresses = {}, .reason = Reason::none, .name = *name};
  }
  const auto* const addresses = hosts.find(std::get<HostName>(subject));
  if (addresses == nullptr) return std::nullopt;
  return Answer{.addresses = ordered(*addresses), .reason = Reason::none};
}

void CachingResolver::forget(const std::function<bool(const Host&)>& changed) {
  cache_.erase_if(changed);
  follow_entries();
  for (const auto& [id, question] : questions_) {
    if (changed(question->subject())) question->ask_again();
  }
}

std::vector<Address> CachingResolver::ordered(const std::vector<Address>& addresses) {
  return in_dial_order(addresses, backend_.prefers_ipv6() ? Family::ipv6 : Family::ipv4);
}

void CachingResolver::ask(Lookup& lookup, const Host& subject) {
  const std::uint64_t id = next_id_++;
  auto owned = std::make_unique<Question>(*this, id, subject);
  Question& question = *owned;
  questions_.emplace(id, std::move(owned));
  asking_.emplace(subject, &question);
  question.join(lookup);
  question.start();
}

void CachingResolver::cancel(Lookup& lookup) noexcept {
  if (!lookup.pending()) return;
  if (LookupState::waiting(lookup)) LookupState::unlink(lookup);
  LookupState::cancel(engine_, lookup);
}

void CachingResolver::close(engine::Operation& closed) noexcept {
  STILE_ASSERT(closed_ == nullptr);
  closed_ = &closed;
  for (const auto& [id, question] : questions_) {
    backend_.forget(id);
    question->abandon();
  }
  if (questions_.empty()) backend_.close(closed);
}

void CachingResolver::detach(const Question& question) {
  asking_.erase(question.subject());
}

void CachingResolver::follow_entries() {
  Counter* const entries = options_.counters.entries;
  if (entries != nullptr) entries->add(cache_.size() - entries->value());  // modulo 2^64: downwards as well
}

void CachingResolver::destroy(const Question& question) {
  questions_.erase(question.id());
  if (closed_ != nullptr && questions_.empty()) backend_.close(*closed_);
}

}  // namespace stile::resolve
