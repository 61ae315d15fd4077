// The targets of one association: what the policy said of each, where its datagrams go, and when it was last used. It
// is the verdict cache (security reference, TU2) and the filter for answers (TU3) in one, so that a target that is
// forgotten, or that a reloaded policy denies, may not answer any longer either.
// Bounded: beyond `targets_max` the one that was idle longest makes room. A target that is idle for too long is gone at
// that instant, timer or no timer.
// Pure: time is an argument. Refuses: to decide, to resolve. Threading: a plain object. Tested in udp_targets_test.cc
// against a naive oracle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>

#include "base/address.h"
#include "base/time.h"

namespace stile::relay {

struct DatagramTerms;  // udp_relay.h

struct UdpTarget {
  Address address;  // where its datagrams go: the literal, or the admitted candidate of a name
  bool allowed = false;
  std::uint64_t generation = 0;    // of the policy that said so
  int rule = -1;                   // likewise
  bool terms_known = false;        // that hold for the rule
  DatagramTerms* terms = nullptr;  // null: none
};

class UdpTargets {
 public:
  class Entry {
   public:
    [[nodiscard]] const Target& asked() const noexcept { return *asked_; }
    [[nodiscard]] const UdpTarget& value() const noexcept { return value_; }

   private:
    friend class UdpTargets;
    const Target* asked_ = nullptr;  // its key in the map
    UdpTarget value_;
    Instant last_used_{};
    std::list<Entry*>::iterator place_;
  };

  UdpTargets(std::size_t targets_max, Duration idle) noexcept : targets_max_(targets_max), idle_(idle) {}
  UdpTargets(const UdpTargets&) = delete;
  UdpTargets& operator=(const UdpTargets&) = delete;

  /// Entries stay in place until they are erased or idle too long; any call that takes the time may let them go, except
  /// the one just found or touched.
  [[nodiscard]] Entry* find(const Target& asked, Instant now);
  /// A target that is allowed and whose datagrams go to this address: its answers are expected.
  [[nodiscard]] Entry* answering(const Address& sender, Instant now);
  /// Adds a target, which must not be there. It counts as used.
  Entry& add(const Target& asked, const UdpTarget& value, Instant now);
  /// A datagram went to it or came from it.
  void touch(Entry& entry, Instant now);
  /// The policy's word of `generation` on the address it has.
  void decide(Entry& entry, bool allowed, std::uint64_t generation, int rule = -1);
  void hold_to(Entry& entry, DatagramTerms* terms) noexcept;
  void erase(Entry& entry);
  void clear() noexcept;

  void expire(Instant now);
  /// When the next one will have been idle too long.
  [[nodiscard]] std::optional<Instant> next_expiry() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct TargetOrder {
    bool operator()(const Target& a, const Target& b) const noexcept {
      return a.port != b.port ? a.port < b.port : a.host < b.host;
    }
  };
  /// By address, then by what was asked: an order that no pointer decides, so that equal runs stay equal.
  struct AddressOrder {
    using is_transparent = void;
    bool operator()(const Entry* a, const Entry* b) const noexcept {
      if (a->value_.address != b->value_.address) return a->value_.address < b->value_.address;
      return TargetOrder{}(a->asked(), b->asked());
    }
    bool operator()(const Entry* a, const Address& b) const noexcept { return a->value_.address < b; }
    bool operator()(const Address& a, const Entry* b) const noexcept { return a < b->value_.address; }
  };

  std::size_t targets_max_;
  Duration idle_;
  std::map<Target, Entry, TargetOrder> entries_;
  std::set<Entry*, AddressOrder> answering_;  // those that are allowed
  std::list<Entry*> by_use_;                  // idle longest in front
};

}  // namespace stile::relay
