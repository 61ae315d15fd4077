// Canonical host names to values, for many names and questions that peers choose: one pass over a name gives the hash
// of each of its suffixes, and only as many labels as some name of the table has are looked up. Pure; immutable once
// sealed, then any thread.
// Refuses to forget: names are added, then the table is sealed. Tested in name_table_test.cc.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "policy/name_suffixes.h"

namespace stile::policy {

/// Open addressing with linear probing, half empty: 21 octets a name beside its text. The hash is a polynomial modulo
/// 2^61-1 at a point that the table picks; a point under which names crowd together is given up for the next, so that
/// no question, whoever chose it, meets a long row of slots.
class NameTable {
 public:
  /// `name` is the text of a HostName. One added twice has the bits of both values.
  void add(std::string_view name, std::uint32_t value);
  /// Once, behind the last add.
  void seal();

  /// Calls visit(value, whole) for `name` itself (whole) and for each name above it that the table holds, from the
  /// right: of a.b.example "example", then "b.example", then all of it.
  template <class Visit>
  void visit_suffixes(std::string_view name, Visit visit) const {
    if (slots_.empty()) return;
    NameSuffixes suffixes(name, point_);
    while (suffixes.next()) {
      if (suffixes.labels() > labels_max_) return;
      if (!label_counts_.test(suffixes.labels())) continue;
      const auto value = find(suffixes.text(), suffixes.hash());
      if (value) visit(*value, suffixes.whole());
    }
  }

  [[nodiscard]] bool empty() const noexcept { return slots_.empty(); }
  /// Memory taken, this object excepted.
  [[nodiscard]] std::size_t octets() const noexcept;
  /// The longest row of slots that a question may have to read.
  [[nodiscard]] std::size_t probes_longest() const noexcept { return probes_longest_; }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t record = 0;  // where it begins in records_, plus one; 0: empty
  };

  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view name, std::uint64_t hash) const noexcept;
  [[nodiscard]] std::uint32_t value_at(std::size_t record) const noexcept;
  [[nodiscard]] std::string_view name_at(std::size_t record) const noexcept;
  [[nodiscard]] std::size_t place_of(std::uint64_t hash) const noexcept;
  void fill(std::uint64_t point);
  void place(std::size_t record);

  std::string records_;  // one a name: its value in four octets, its length in one, its text
  std::size_t count_ = 0;
  std::vector<Slot> slots_;
  std::bitset<limits::name_octets_max / 2 + 2> label_counts_;  // of the names in the table
  std::size_t labels_max_ = 0;
  std::uint64_t point_ = 0;
  std::size_t probes_longest_ = 0;
};

}  // namespace stile::policy
