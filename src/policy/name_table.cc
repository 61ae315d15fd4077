#include "policy/name_table.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace stile::policy {
namespace {

// At one half full and a million names a good point leaves about 60.
constexpr std::size_t probes_wanted = 128;
constexpr std::uint64_t points_tried = 8;
constexpr std::size_t head_octets = sizeof(std::uint32_t) + 1;  // of a record, before the text

constexpr std::uint64_t point_number(std::uint64_t number) noexcept {
  return spread(number + 0x9e3779b97f4a7c15ULL) & NameSuffixes::point_max;
}

}  // namespace

void NameTable::add(std::string_view name, std::uint32_t value) {
  STILE_ASSERT(!name.empty() && name.size() <= limits::name_octets_max && slots_.empty());
  STILE_ASSERT(records_.size() < UINT32_MAX);
  records_.append(reinterpret_cast<const char*>(&value), sizeof value);
  records_ += static_cast<char>(name.size());
  records_ += name;
  ++count_;
  const auto labels = static_cast<std::size_t>(std::ranges::count(name, '.')) + 1;
  label_counts_.set(labels);
  labels_max_ = std::max(labels_max_, labels);
}

void NameTable::seal() {
  STILE_ASSERT(slots_.empty());
  records_.shrink_to_fit();
  if (count_ == 0) return;
  for (std::uint64_t number = 0; number < points_tried; ++number) {
    fill(point_number(number));
    if (probes_longest_ <= probes_wanted) return;
  }
}

void NameTable::fill(std::uint64_t point) {
  point_ = point;
  probes_longest_ = 0;
  slots_.assign(2 * count_, Slot{});
  for (std::size_t record = 0; record < records_.size(); record += head_octets + name_at(record).size()) place(record);
}

void NameTable::place(std::size_t record) {
  const std::string_view name = name_at(record);
  NameSuffixes suffixes(name, point_);
  while (suffixes.next()) {
  }
  const std::uint64_t hash = suffixes.hash();
  std::size_t place = place_of(hash);
  for (std::size_t probes = 1;; ++probes) {
    Slot& slot = slots_[place];
    if (slot.record == 0) {
      slot = {.hash = static_cast<std::uint32_t>(hash), .record = static_cast<std::uint32_t>(record + 1)};
      probes_longest_ = std::max(probes_longest_, probes);
      return;
    }
    const std::size_t other = slot.record - 1;
    if (slot.hash == static_cast<std::uint32_t>(hash) && name_at(other) == name) {
      const std::uint32_t both = value_at(other) | value_at(record);
      std::memcpy(&records_[other], &both, sizeof both);
      return;
    }
    if (++place == slots_.size()) place = 0;
  }
}

std::optional<std::uint32_t> NameTable::find(std::string_view name, std::uint64_t hash) const noexcept {
  for (std::size_t place = place_of(hash); slots_[place].record != 0;) {
    const Slot& slot = slots_[place];
    if (slot.hash == static_cast<std::uint32_t>(hash) && name_at(slot.record - 1) == name) {
      return value_at(slot.record - 1);
    }
    if (++place == slots_.size()) place = 0;
  }
  return std::nullopt;
}

std::uint32_t NameTable::value_at(std::size_t record) const noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, &records_[record], sizeof value);
  return value;
}

std::string_view NameTable::name_at(std::size_t record) const noexcept {
  const auto length = static_cast<unsigned char>(records_[record + sizeof(std::uint32_t)]);
  return std::string_view(records_).substr(record + head_octets, length);
}

// The upper half of the hash as a fraction of the table; the lower half tells names of one place apart.
std::size_t NameTable::place_of(std::uint64_t hash) const noexcept {
  return static_cast<std::size_t>((hash >> 32) * slots_.size() >> 32);
}

std::size_t NameTable::octets() const noexcept {
  return records_.capacity() + slots_.capacity() * sizeof(Slot);
}

}  // namespace stile::policy
