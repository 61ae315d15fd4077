// The options at the end of a rule, in any order: reads them to the end of the line and reports every fault with its
// place. A fault ends its option; the next word that begins one goes on. Pure. Tested in options_test.cc.
// Behind a deny only `when` and `log` may stand: nothing passes that the others could be about.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/line_reader.h"
#include "policy/options.h"

namespace stile::policy {

class OptionParser {
 public:
  /// `line` stands at an option's word, and is read to its end.
  OptionParser(LineReader& line, bool allow, const Upstreams& upstreams)
      : line_(line), allow_(allow), upstreams_(upstreams) {}

  /// What is returned counts only when no fault was reported.
  [[nodiscard]] Options parse();

 private:
  bool parse_option(const Token& word);
  bool parse_via();
  bool parse_hop(bool first);
  bool parse_rate(const Token& word);
  bool parse_sessions(const Token& word);
  bool parse_quota(const Token& word);
  bool parse_when();
  bool parse_egress_place(const Token& word);
  bool parse_mark(const Token& word);
  bool parse_log();
  // `[per …]`; nothing after a fault.
  std::optional<Scope> parse_scope(bool tunnel_too);
  template <class Value, class Parse>
  bool parse_once(const Token& word, std::optional<Value>& stored, std::string_view what, Parse parse_value);
  bool expect_once(const Token& word, bool is_first);

  // They report; the answer is false, for the caller to return.
  bool fail(int column, std::string message);
  bool fail(const Token& token, const Fault& fault);

  LineReader& line_;
  bool allow_;
  const Upstreams& upstreams_;
  Options options_;
  bool via_given_ = false;
  bool log_given_ = false;
};

}  // namespace stile::policy
