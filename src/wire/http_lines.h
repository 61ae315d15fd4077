// Finds the lines of an HTTP head, before anything reads them: where a head ends must not be a matter of taste, since
// two readers that differ let a second request hide in the first (security reference, TP6).
//
//   head  start line | field line ... | blank line      each ends with CR LF, or with LF alone
//
// Refuses: NUL, a CR that no LF follows, folded lines, a field line that does not begin with a name and its colon,
// lines and fields over their limits. It says so at the octet that shows it; what the lines mean is http_head.h's.
// Threading: pure functions. Tested through both heads in http_head_test.cc.
#pragma once

#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/reason.h"
#include "wire/parse.h"

namespace stile::wire {

/// Without line ends; they point into the input.
struct HttpLines {
  std::string_view start;
  std::vector<std::string_view> fields;
};

/// `judge_start` sees the start line as soon as it is whole; it answers Reason::none or why no head begins like this.
/// Malformed: that reason, http_line_long, http_fields_large, http_syntax.
[[nodiscard]] ParseResult<HttpLines> read_http_lines(ConstBytes input, Reason (*judge_start)(std::string_view));

}  // namespace stile::wire
