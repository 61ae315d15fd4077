// The suffixes of a host name that begin at a label, each with its hash, in one pass from the name's end. Pure; any
// thread. The hash is a polynomial modulo 2^61-1 at a point that the caller picks, its bits then spread.
// Tested in name_table_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stile::policy {

/// Every bit of `value` over all bits (the finaliser of MurmurHash3).
[[nodiscard]] constexpr std::uint64_t spread(std::uint64_t value) noexcept {
  value = (value ^ value >> 33) * 0xff51afd7ed558ccdULL;
  value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53ULL;
  return value ^ value >> 33;
}

/// Of a.b.example "example", then "b.example", then all of it.
class NameSuffixes {
 public:
  static constexpr std::uint64_t point_max = (1ULL << 59) - 1;

  /// `name` is the text of a HostName, `point` at most point_max.
  constexpr NameSuffixes(std::string_view name, std::uint64_t point) noexcept
      : name_(name), begin_(name.size()), point_(point) {}

  /// To the first or the next one; false when there is none.
  constexpr bool next() noexcept {
    if (begin_ == 0) return false;
    // The dot before a suffix counts with the suffix that goes on to its left.
    do {
      state_ = times_point(state_ + static_cast<unsigned char>(name_[--begin_]));
    } while (begin_ > 0 && name_[begin_ - 1] != '.');
    ++labels_;
    return true;
  }

  [[nodiscard]] constexpr std::string_view text() const noexcept { return name_.substr(begin_); }
  [[nodiscard]] constexpr std::size_t labels() const noexcept { return labels_; }
  /// The suffix is the name itself.
  [[nodiscard]] constexpr bool whole() const noexcept { return begin_ == 0; }
  [[nodiscard]] constexpr std::uint64_t hash() const noexcept { return spread(state_); }

 private:
  // Reduced once only: from below 2^62 + 2^8, and a point below 2^59, it stays below 2^62.
  [[nodiscard]] constexpr std::uint64_t times_point(std::uint64_t value) const noexcept {
    __extension__ using Wide = unsigned __int128;
    constexpr std::uint64_t prime = (1ULL << 61) - 1;
    const Wide product = static_cast<Wide>(value) * point_;
    return static_cast<std::uint64_t>(product & prime) + static_cast<std::uint64_t>(product >> 61);
  }

  std::string_view name_;
  std::size_t begin_;
  std::uint64_t point_;
  std::uint64_t state_ = 1;
  std::size_t labels_ = 0;
};

}  // namespace stile::policy
