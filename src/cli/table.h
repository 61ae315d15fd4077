// Tables for a terminal: columns as wide as they must be. Pure. Tested in table_test.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stile::cli {

/// The cells of one line; every line of a table has as many.
using TableLine = std::vector<std::string>;

/// `columns`: a letter each, 'l' or 'r', for the side to which its cells are moved. No line ends with spaces.
[[nodiscard]] std::string table_text(const std::vector<TableLine>& lines, std::string_view columns);

/// What others have named, for a terminal: whatever is not printable ASCII, and the backslash, as \xNN.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace stile::cli
