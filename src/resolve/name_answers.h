// DNS as a program in a private network has it: every name has the addresses that stand for it (stand_in_names.h), and
// those have their names back. Nothing is asked of anybody: whether a name exists is seen by the proxy, when the
// program connects to it. This host's own name and localhost are loopback (RFC 6761 section 6.3).
// Refuses, with "not implemented", what only DNS itself could know: other types, other classes.
// Pure. Threading: one thread. Tested in name_answers_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "resolve/stand_in_names.h"

namespace stile::resolve {

class NameAnswers {
 public:
  /// `own_name`: what this host calls itself.
  NameAnswers(StandInNames& names, const std::string& own_name);

  /// The answer to a DNS message; empty: there is none.
  [[nodiscard]] std::vector<std::uint8_t> answer(ConstBytes message);

 private:
  [[nodiscard]] bool is_own(const HostName& name) const;

  StandInNames& names_;
  std::optional<HostName> own_name_;
};

}  // namespace stile::resolve
