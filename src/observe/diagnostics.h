// What Stile tells its operator on standard error: where it listens, warnings, and errors of the one form
// "stile: what failed: why (what to do)". For start, reload and stop; never for anything that a peer causes per
// connection (those are records). May block on standard error. From any thread. Tested in diagnostics_test.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace stile::observe {

/// The line, without its end. An empty `why` or `cure` is left out; control octets are escaped.
[[nodiscard]] std::string diagnostic_line(std::string_view what, std::string_view why = {}, std::string_view cure = {});

class Diagnostics {
 public:
  /// Writes to standard error.
  Diagnostics();
  Diagnostics(const Diagnostics&) = delete;
  Diagnostics& operator=(const Diagnostics&) = delete;
  ~Diagnostics();

  void error(std::string_view what, std::string_view why = {}, std::string_view cure = {});
  /// "stile: warning: what: why (cure)"
  void warning(std::string_view what, std::string_view why = {}, std::string_view cure = {});
  /// "stile: text"
  void notice(std::string_view text);

 private:
  struct Logger;
  std::unique_ptr<Logger> logger_;
};

}  // namespace stile::observe
