#include "relay/udp_targets.h"

#include "base/assert.h"

namespace stile::relay {

UdpTargets::Entry* UdpTargets::find(const Target& asked, Instant now) {
  expire(now);
  const auto found = entries_.find(asked);
  return found == entries_.end() ? nullptr : &found->second;
}

UdpTargets::Entry* UdpTargets::answering(std::uint32_t way, const Address& sender, std::uint16_t port, Instant now) {
  expire(now);
  const auto found = answering_.lower_bound(Answers(way, false, sender, nullptr));
  const auto is_of_way = [&](const auto& place) { return place != answering_.end() && (*place)->value_.way == way; };
  if (is_of_way(found) && !(*found)->value_.by_name && (*found)->value_.address == sender) return *found;
  if (way == 0) return nullptr;
  const Target of_port{.host = Address{}, .port = port};  // before every name
  if (const auto named = answering_.lower_bound(Answers(way, true, Address{}, &of_port)); is_of_way(named)) {
    if ((*named)->asked_->port == port) return *named;
  }
  const auto any = answering_.lower_bound(Answers(way, true, Address{}, nullptr));
  return is_of_way(any) ? *any : nullptr;
}

bool UdpTargets::uses(std::uint32_t way) const noexcept {
  const auto found = answering_.lower_bound(Answers(way, false, Address{}, nullptr));
  return found != answering_.end() && (*found)->value_.way == way;
}

std::vector<Target> UdpTargets::on_detours() const {
  std::vector<Target> asked;
  for (auto place = answering_.lower_bound(Answers(1, false, Address{}, nullptr)); place != answering_.end(); ++place) {
    asked.push_back(*(*place)->asked_);
  }
  return asked;
}

UdpTargets::Entry& UdpTargets::add(const Target& asked, const UdpTarget& value, Instant now) {
  expire(now);
  if (entries_.size() >= targets_max_) erase(*by_use_.front());
  const auto [place, added] = entries_.try_emplace(asked);
  STILE_ASSERT(added);
  Entry& entry = place->second;
  entry.asked_ = &place->first;
  entry.value_ = value;
  entry.last_used_ = now;
  entry.place_ = by_use_.insert(by_use_.end(), &entry);
  if (value.allowed) answering_.insert(&entry);
  return entry;
}

void UdpTargets::touch(Entry& entry, Instant now) {
  entry.last_used_ = now;
  by_use_.splice(by_use_.end(), by_use_, entry.place_);
}

void UdpTargets::decide(Entry& entry, bool allowed, std::uint64_t generation, int rule) {
  entry.value_.generation = generation;
  entry.value_.allowed = allowed;
  entry.value_.rule = rule;
  entry.value_.terms_known = false;
  entry.value_.terms = nullptr;
  if (allowed) {
    answering_.insert(&entry);
  } else {
    answering_.erase(&entry);
  }
}

void UdpTargets::hold_to(Entry& entry, DatagramTerms* terms, std::uint32_t way) {
  entry.value_.terms_known = true;
  entry.value_.terms = terms;
  if (entry.value_.way == way) return;
  const bool answers = answering_.erase(&entry) > 0;
  entry.value_.way = way;  // by which it is ordered
  if (answers) answering_.insert(&entry);
}

void UdpTargets::erase(Entry& entry) {
  answering_.erase(&entry);
  by_use_.erase(entry.place_);
  entries_.erase(entries_.find(entry.asked()));
}

void UdpTargets::clear() noexcept {
  answering_.clear();
  by_use_.clear();
  entries_.clear();
}

void UdpTargets::expire(Instant now) {
  while (!by_use_.empty() && now - by_use_.front()->last_used_ >= idle_) erase(*by_use_.front());
}

std::optional<Instant> UdpTargets::next_expiry() const noexcept {
  if (by_use_.empty()) return std::nullopt;
  return by_use_.front()->last_used_ + idle_;
}

}  // namespace stile::relay
