#include "resolve/table_resolver.h"

#include <utility>

namespace stile::resolve {

/// One family's answer on its way.
class TableResolver::Reply {
 public:
  Reply(TableResolver& table, std::uint64_t id, Family family, FamilyAnswer answer, Asker& asker)
      : table_(table), id_(id), family_(family), answer_(std::move(answer)), asker_(&asker) {
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
    const Family family = family_;
    FamilyAnswer answer = std::move(answer_);
    table_.finished(*this);
    if (asker != nullptr) asker->on_family(family, std::move(answer));
  }

  TableResolver& table_;
  std::uint64_t id_;
  Family family_;
  FamilyAnswer answer_;
  Asker* asker_;
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
  start_reply(id, Family::ipv6, row.ipv6, asker);
  start_reply(id, Family::ipv4, row.ipv4, asker);
}

void TableResolver::start_reply(std::uint64_t id, Family family, const Half& half, Asker& asker) {
  if (!half.delay) return;
  replies_.push_back(std::make_unique<Reply>(*this, id, family, half.answer, asker));
  replies_.back()->start(engine_.now() + *half.delay);
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
