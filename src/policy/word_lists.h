// Words by their hashes alone, each with a list of rules: a table without the words' texts. Two words of one hash read
// each other's lists too, which costs a look at a rule and changes no answer: the evaluator has the last word. Pure;
// immutable once sealed, then any thread. Refuses to say whether a word is in it. Tested in index_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace stile::policy {

/// Part of an array of filed rules.
struct List {
  std::uint32_t begin = 0;
  std::uint32_t length = 0;
};

class WordLists {
 public:
  explicit WordLists(std::span<const std::pair<std::uint64_t, List>> lists);

  /// Ahead of `visit`, for tables that the nearest caches do not hold.
  void prefetch(std::uint64_t hash) const noexcept {
    if (!slots_.empty()) __builtin_prefetch(&slots_[place_of(hash)]);
  }

  /// Calls read(List) for that of the word with this hash, and maybe for another.
  template <class Read>
  void visit(std::uint64_t hash, Read read) const {
    if (slots_.empty()) return;
    for (std::size_t place = place_of(hash); slots_[place].list.length != 0;) {
      if (slots_[place].hash == static_cast<std::uint32_t>(hash)) read(slots_[place].list);
      if (++place == slots_.size()) place = 0;
    }
  }

 private:
  struct Slot {
    std::uint32_t hash = 0;  // its lower half
    List list;               // without rules: the slot is free
  };

  // The upper half of the hash as a fraction of the table.
  [[nodiscard]] std::size_t place_of(std::uint64_t hash) const noexcept {
    return static_cast<std::size_t>((hash >> 32) * slots_.size() >> 32);
  }

  std::vector<Slot> slots_;  // half of them free
};

}  // namespace stile::policy
