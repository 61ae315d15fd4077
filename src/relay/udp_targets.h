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
#include <vector>

#include "base/address.h"
#include "base/time.h"

namespace stile::relay {

struct DatagramTerms;  // udp_relay.h

struct UdpTarget {
  Address address;       // where its datagrams go: the literal, or the admitted candidate of a name
  bool by_name = false;  // nowhere in particular: the name itself goes to other proxies
  bool allowed = false;
  std::uint64_t generation = 0;    // of the policy that said so
  int rule = -1;                   // likewise
  bool terms_known = false;        // that hold for the rule
  DatagramTerms* terms = nullptr;  // null: none
  std::uint32_t way = 0;           // by which they go, as the terms say; 0: directly
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
  /// A target that is allowed and whose datagrams go by this way to this address: its answers are expected. Where there
  /// is none, one whose name went by this way, of this port if there is such a one.
  [[nodiscard]] Entry* answering(std::uint32_t way, const Address& sender, std::uint16_t port, Instant now);
  /// Allowed ones go by this way.
  [[nodiscard]] bool uses(std::uint32_t way) const noexcept;
  /// What was asked for of those whose datagrams go by any way but the direct one.
  [[nodiscard]] std::vector<Target> on_detours() const;
  /// Adds a target, which must not be there. It counts as used.
  Entry& add(const Target& asked, const UdpTarget& value, Instant now);
  /// A datagram went to it or came from it.
  void touch(Entry& entry, Instant now);
  /// The policy's word of `generation` on the address it has.
  void decide(Entry& entry, bool allowed, std::uint64_t generation, int rule = -1);
  void hold_to(Entry& entry, DatagramTerms* terms, std::uint32_t way = 0);
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
  /// Of those that are allowed: by way, then by address (names behind all of them), then by what was asked: an order
  /// that no pointer decides, so that equal runs stay equal.
  struct Answers {
    std::uint32_t way;
    bool by_name;
    Address address;
    const Target* asked;

    explicit Answers(const Entry* entry) noexcept
        : Answers(entry->value_.way, entry->value_.by_name, entry->value_.address, entry->asked_) {}
    Answers(std::uint32_t by, bool named, const Address& from, const Target* of) noexcept
        : way(by), by_name(named), address(from), asked(of) {}
  };
  struct AnswerOrder {
    using is_transparent = void;
    bool operator()(const Answers& a, const Answers& b) const noexcept {
      if (a.way != b.way) return a.way < b.way;
      if (a.by_name != b.by_name) return b.by_name;
      if (a.address != b.address) return a.address < b.address;
      if (a.asked == nullptr || b.asked == nullptr) return a.asked == nullptr && b.asked != nullptr;
      return TargetOrder{}(*a.asked, *b.asked);
    }
    bool operator()(const Entry* a, const Entry* b) const noexcept { return (*this)(Answers(a), Answers(b)); }
    bool operator()(const Entry* a, const Answers& b) const noexcept { return (*this)(Answers(a), b); }
    bool operator()(const Answers& a, const Entry* b) const noexcept { return (*this)(a, Answers(b)); }
  };

  std::size_t targets_max_;
  Duration idle_;
  std::map<Target, Entry, TargetOrder> entries_;
  std::set<Entry*, AnswerOrder> answering_;  // those that are allowed
  std::list<Entry*> by_use_;                 // idle longest in front
};

}  // namespace stile::relay
