// Values by the suffix of a name: the longest suffix wins, as servers with zones of their own do it. A suffix covers
// itself and whole labels below it. Pure. Tested in suffix_map_test.cc.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/address.h"

namespace stile::resolve {

template <class Value>
class SuffixMap {
 public:
  /// False, and nothing changes, where the suffix has a value already.
  bool add(const HostName& suffix, Value value) { return values_.emplace(suffix.text(), std::move(value)).second; }

  /// Of the longest suffix that covers `name`; nullptr where none does. Valid until the next `add`.
  [[nodiscard]] const Value* find(const HostName& name) const {
    std::string_view rest = name.text();
    while (true) {
      if (const auto found = values_.find(rest); found != values_.end()) return &found->second;
      const std::size_t dot = rest.find('.');
      if (dot == std::string_view::npos) return nullptr;
      rest.remove_prefix(dot + 1);
    }
  }

 private:
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace stile::resolve
