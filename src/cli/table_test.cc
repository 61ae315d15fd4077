#include "cli/table.h"

#include <gtest/gtest.h>

namespace stile::cli {
namespace {

TEST(Table, ColumnsLineUpAndNoLineEndsWithSpaces) {
  EXPECT_EQ(table_text({{"name", "count", "help"}, {"a", "12345", ""}, {"longer", "1", "what"}}, "lrl"),
            "name    count  help\n"
            "a       12345\n"
            "longer      1  what\n");
  EXPECT_EQ(table_text({}, "lr"), "");
}

TEST(Table, NothingMovesTheCursor) {
  EXPECT_EQ(printable("a~ \\\n\x1b[2J\xff"), "a~ \\x5c\\x0a\\x1b[2J\\xff");
}

}  // namespace
}  // namespace stile::cli
