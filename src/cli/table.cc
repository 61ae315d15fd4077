#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"

namespace stile::cli {

std::string table_text(const std::vector<TableLine>& lines, std::string_view columns) {
  std::vector<std::size_t> widths(columns.size());
  for (const TableLine& line : lines) {
    STILE_ASSERT(line.size() == columns.size());
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const TableLine& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (i > 0) text += "  ";
      text += columns[i] == 'r' ? fmt::format("{:>{}}", line[i], widths[i]) : fmt::format("{:<{}}", line[i], widths[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char octet : text) {
    if (octet >= 0x20 && octet <= 0x7e && octet != '\\') {
      out += octet;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(octet));
    }
  }
  return out;
}

}  // namespace stile::cli
