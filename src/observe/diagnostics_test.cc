#include "observe/diagnostics.h"

#include <gtest/gtest.h>

namespace stile::observe {
namespace {

TEST(Diagnostics, OneForm) {
  EXPECT_EQ(diagnostic_line("cannot read x", "no such file", "name one that exists"),
            "stile: cannot read x: no such file (name one that exists)");
  EXPECT_EQ(diagnostic_line("cannot read x", "no such file"), "stile: cannot read x: no such file");
  EXPECT_EQ(diagnostic_line("listening"), "stile: listening");
}

TEST(Diagnostics, ControlOctetsCannotForgeALine) {
  EXPECT_EQ(diagnostic_line("cannot read a\nb\x1b[2J"), "stile: cannot read a\\x0ab\\x1b[2J");
}

TEST(Diagnostics, WritesToStandardError) {
  testing::internal::CaptureStderr();
  {
    Diagnostics diagnostics;
    diagnostics.error("a", "b {}", "c");
    diagnostics.warning("d", "e");
    diagnostics.notice("f");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "stile: a: b {} (c)\nstile: warning: d: e\nstile: f\n");
}

}  // namespace
}  // namespace stile::observe
