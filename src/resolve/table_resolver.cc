#include "resolve/table_resolver.h"

#include <utility>

namespace stile::resolve {

/// An answer on its way.
class TableResolver::Reply {
 public:
  Reply(TableResolver& table, std::uint64_t id, Asker& asker, Tell tell)
      : table_(table), id_(id), asker_(&asker), tell_(std::move(tell)) {
    timer_.bind<&Reply::on_timer>(this);
  }

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  void start(Instant due) noexcept { table_.engine_.start_timer(timer_, due); }
  void forget() noexcept {
    asker_ = nullptr;
    table_.engine_.cancel(timer_);
  }

 private:
  void on_timer(engine::Status) {
    Asker* const asker = std::exchange(asker_, nullptr);
    const Tell tell = std::move(tell_);
    table_.finished(*this);
    if (asker != nullptr) tell(*asker);
  }

  TableResolver& table_;
  std::uint64_t id_;
  Asker* asker_;
  Tell tell_;
  engine::Timer timer_;
};

TableResolver::TableResolver(engine::Engine& engine) noexcept : engine_(engine) {}

TableResolver::~TableResolver() {
  STILE_ASSERT(replies_.empty());
}

TableResolver::Half TableResolver::half(std::vector<Address> addresses, std::chrono::seconds ttl, Duration delay) {
  const Reason reason = addresses.empty() ? Reason::dns_not_found : Reason::none;
  return {.answer = {.reason = reason, .addresses = std::move(addresses), .ttl = ttl}, .delay = delay};
}

void TableResolver::add(const HostName& name, Row row) {
  table_[name].rows.push_back(std::move(row));
}

void TableResolver::ask(std::uint64_t id, const HostName& name, Asker& asker) {
  STILE_ASSERT(closed_ == nullptr);
  ++questions_;
  Row row;
  if (const auto known = table_.find(name); known != table_.end()) {
    Rows& rows = known->second;
    row = rows.rows[rows.next];
    rows.next = (rows.next + 1) % rows.rows.size();
  }
  for (const Family family : {Family::ipv6, Family::ipv4}) {
    const Half& half = family == Family::ipv6 ? row.ipv6 : row.ipv4;
    start_reply(id, half.delay, asker, [family, answer = half.answer](Asker& told) { told.on_family(family, answer); });
  }
}

void TableResolver::ask_name(std::uint64_t id, const Address& address, Asker& asker) {
  STILE_ASSERT(closed_ == nullptr);
  ++questions_;
  const auto known = names_.find(address);
  const NameRow row = known == names_.end() ? NameRow{} : known->second;
  start_reply(id, row.delay, asker, [answer = row.answer](Asker& told) { told.on_name(answer); });
}

void TableResolver::start_reply(std::uint64_t id, std::optional<Duration> delay, Asker& asker, Tell tell) {
  if (!delay) return;
  replies_.push_back(std::make_unique<Reply>(*this, id, asker, std::move(tell)));
  replies_.back()->start(engine_.now() + *delay);
}

void TableResolver::forget(std::uint64_t id) noexcept {
  for (const auto& reply : replies_) {
    if (reply->id() == id) reply->forget();
  }
}

void TableResolver::finished(Reply& reply) {
  std::erase_if(replies_, [&reply](const auto& owned) { return owned.get() == &reply; });
  if (closed_ != nullptr && replies_.empty()) engine_.post(*closed_);
}

void TableResolver::close(engine::Operation& closed) noexcept {
  STILE_ASSERT(closed_ == nullptr);
  closed_ = &closed;
  for (const auto& reply : replies_) reply->forget();
  if (replies_.empty()) engine_.post(closed);
}

}  // namespace stile::resolve
