// What this process knows of its carrier: by which keys it is asked, whether it may be started from here, and what a
// program that is executed has to have in its environment to go the same way. Read once, before main, from the
// environment, which is put in order there: LD_PRELOAD names this library absolutely, so that no other working
// directory leads to another file (threat TW1), and the proxy stands in STILE_VIA alone, which no other program reads
// and takes for its own affair. A process with another user's rights believes nothing of its environment and reaches
// nobody. Threading: immutable behind main's begin; any. Tested by tests/e2e/preload_test.py.
#pragma once

#include <cstddef>
#include <string_view>

#include "preload/message.h"

namespace stile::preload::inside {

struct Standing {
  bool reaches_nobody = false;  // there is no carrier that may be asked
  bool lenient = false;
  bool may_start = false;  // the carrier is one that programs start for themselves
  Keys keys{};
  // "NAME=VALUE", of an environment; empty: none.
  char library[4096 + 16]{};  // "LD_PRELOAD=…", with this library alone
  char keys_entry[sizeof "STILE_PRELOAD=" + keys_text_octets]{};
  char proxy_entry[4096]{};
  char lenient_entry[64]{};
  char executable[4096]{};  // stile's own

  [[nodiscard]] const char* library_path() const noexcept { return library + sizeof "LD_PRELOAD=" - 1; }
};

[[nodiscard]] const Standing& standing() noexcept;

/// A value of LD_PRELOAD, which is a list: this library is one of it, by its absolute path.
[[nodiscard]] bool names_library(std::string_view preload, const Standing& own) noexcept;

}  // namespace stile::preload::inside
