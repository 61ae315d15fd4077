#include "server/dns_answers.h"

#include <utility>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "resolve/reverse_name.h"
#include "server/decision.h"
#include "server/reach.h"
#include "wire/dns_query.h"

namespace stile::server {
namespace {

using wire::DnsStatus;

DnsStatus status_of(Reason reason) noexcept {
  if (is_denial(reason)) return DnsStatus::refused;
  const bool none = reason == Reason::dns_not_found || reason == Reason::dns_reserved;
  return none ? DnsStatus::name_error : DnsStatus::server_failure;
}

/// Whom a question is about: a name, or the address whose name is asked for.
std::optional<Target> target_of(const wire::DnsQuestion& question) {
  const auto host = canonical_host(question.name);
  const auto* const name = host ? std::get_if<HostName>(&*host) : nullptr;
  if (name == nullptr) return std::nullopt;
  if (question.type != wire::dns_type_ptr) return Target{*name, 0};
  const auto address = resolve::address_of_reverse_name(*name);
  return address ? std::optional(Target{*address, 0}) : std::nullopt;
}

}  // namespace

/// One under way. It goes by the configuration under which it was asked.
class DnsAnswers::Question final : private ReachOwner {
 public:
  Question(DnsAnswers& of, NameAsker& asker, wire::DnsQuery query, Target target, const Address& client,
           const Address& called)
      : of_(of),
        asker_(&asker),
        query_(std::move(query)),
        target_(std::move(target)),
        client_(client),
        called_(called),
        common_(of.worker_.common_),
        who_(Identity::anonymous()),
        reach_(of.engine_, of.resolver_, of.worker_.upstreams_, *this) {
    reach_.bind<&Question::on_reached>(this);
    lookup_.bind<&Question::on_reversed>(this);
  }

  void start() {
    const policy::Verdict verdict = reach_.ask(target_);
    if (verdict.decision == policy::Verdict::Decision::deny) {
      of_.record(client_, called_, target_, verdict, *common_);
      return answer(DnsStatus::refused);
    }
    if (const Address* const address = target_.address()) return of_.resolver_.reverse(lookup_, *address);
    reach_.find({.command = wire::Command::resolve},
                {.per_address = common_->limits.connect_per_address, .total = common_->limits.connect_total});
  }

  /// True where it was this one's.
  bool forget(const NameAsker& asker) noexcept {
    if (asker_ != &asker) return false;
    asker_ = nullptr;
    reach_.cancel();
    if (lookup_.pending()) of_.resolver_.cancel(lookup_);
    return true;
  }

 private:
  policy::Verdict decide(const Target& asked, const std::optional<Address>& candidate) override {
    const Asker asker{
        .who = &who_, .local = called_, .source = client_, .proxied = false, .at = of_.worker_.week_time()};
    return server::decide(*common_, asker, policy::Command::resolve, &asked, candidate);
  }
  const policy::Options& options_of(int rule) const noexcept override {
    static const policy::Options none;
    return rule < 0 ? none : common_->policy_for(called_, client_, false).options(rule);
  }
  Reason claim(int) override { return Reason::none; }
  Traveller traveller() const override { return {.client = Endpoint{client_, 0}, .user = {}, .session = 0}; }
  bool is_own(const Endpoint& place) const override { return server::is_own(*common_, place); }

  void on_reached(engine::Status) {
    const Reason reason = reach_.settle();
    if (reason != Reason::none) return answer(status_of(reason));
    std::vector<wire::DnsRecord> records;
    for (const Address& address : reach_.addresses()) {
      if (address.is_v4() == (query_.question->type == wire::dns_type_a)) records.emplace_back(address);
    }
    answer(DnsStatus::no_error, records);
  }
  void on_reversed(engine::Status) {
    const resolve::Answer& answered = lookup_.answer();
    if (!answered.name) return answer(status_of(answered.reason));
    const std::vector<wire::DnsRecord> records{*answered.name};
    answer(DnsStatus::no_error, records);
  }

  void answer(DnsStatus status, std::span<const wire::DnsRecord> records = {}) {
    NameAsker* const asker = std::exchange(asker_, nullptr);
    const auto message = wire::encode_dns_answer(query_, status, records, limits::stand_in_ttl_seconds);
    of_.ended(*this);
    if (asker != nullptr) asker->answered(message);
  }

  DnsAnswers& of_;
  NameAsker* asker_;  // nullptr: it does not wait any longer
  wire::DnsQuery query_;
  Target target_;
  Address client_;
  Address called_;
  std::shared_ptr<const Common> common_;
  Identity who_;
  Reach reach_;
  resolve::Lookup lookup_;
};

DnsAnswers::DnsAnswers(engine::EpollEngine& engine, resolve::Resolver& resolver, Worker& worker, Reporter* reporter)
    : engine_(engine), resolver_(resolver), worker_(worker), reporter_(reporter) {}

DnsAnswers::~DnsAnswers() {
  STILE_ASSERT(quiet());
}

void DnsAnswers::ask(ConstBytes message, const Address& client, const Address& called, NameAsker& asker) {
  auto result = wire::decode_dns_query(message);
  auto* const parsed = std::get_if<wire::Parsed<wire::DnsQuery>>(&result);
  if (parsed == nullptr || parsed->value.is_answer) return asker.answered({});
  wire::DnsQuery& query = parsed->value;
  const auto refuse = [&](DnsStatus status) { asker.answered(wire::encode_dns_answer(query, status)); };
  if (query.opcode != 0) return refuse(DnsStatus::not_implemented);
  if (!query.question) return refuse(DnsStatus::format_error);
  const std::uint16_t type = query.question->type;
  const bool known = type == wire::dns_type_a || type == wire::dns_type_aaaa || type == wire::dns_type_ptr;
  if (query.question->qclass != wire::dns_class_in || !known) return refuse(DnsStatus::not_implemented);
  auto target = target_of(*query.question);
  if (!target) return refuse(DnsStatus::name_error);
  questions_.push_front(std::make_unique<Question>(*this, asker, std::move(query), *std::move(target), client, called));
  questions_.front()->start();
}

void DnsAnswers::forget(NameAsker& asker) noexcept {
  for (const auto& question : questions_) {
    if (question->forget(asker)) return;
  }
}

void DnsAnswers::ended(const Question& question) noexcept {
  std::erase_if(questions_, [&](const auto& one) { return one.get() == &question; });
  if (stopping_ && quiet()) engine_.stop();
}

void DnsAnswers::record(const Address& client, const Address& called, const Target& target,
                        const policy::Verdict& verdict, const Common& common) {
  if (reporter_ == nullptr) return;
  if (const auto told = refused_.find(client); told != refused_.end() && told->second == target) return;
  if (refused_.size() >= limits::dns_in_flight_max) refused_.clear();
  refused_.insert_or_assign(client, target);
  const std::string text = target.to_string();
  observe::Record record{.event = event_of(verdict.reason), .time = engine_.wall_now(), .session = engine_.random()};
  record.listener = "dns";
  record.client = Endpoint{client, 0};
  record.protocol = "dns";
  record.method = "none";
  record.command = wire::name(target.address() != nullptr ? wire::Command::resolve_ptr : wire::Command::resolve);
  record.target = text;
  record.reason = verdict.reason;
  const policy::Policy& policy = common.policy_for(called, client, false);
  if (verdict.rule >= 0) record.rule = policy.rules()[static_cast<std::size_t>(verdict.rule)].name;
  reporter_->report(record);
}

}  // namespace stile::server
