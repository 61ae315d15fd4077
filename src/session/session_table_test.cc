// The table behind ServerSession: complete, reachable, and the diagram in ARCHITECTURE.md is its picture.
#include "session/session_table.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace stile::session {
namespace {

TEST(SessionTable, NoRowStandsTwice) {
  std::set<std::pair<Phase, std::size_t>> seen;
  for (const SessionRow& row : SessionTable::rows()) EXPECT_TRUE(seen.emplace(row.phase, row.event).second);
}

TEST(SessionTable, EveryPhaseIsReachedAndLeft) {
  std::set<Phase> reached{Phase::opening};
  std::set<Phase> left;
  for (const SessionRow& row : SessionTable::rows()) {
    for (std::size_t to = 0; to < phase_count; ++to) {
      if (row.leads_to(static_cast<Phase>(to))) reached.insert(static_cast<Phase>(to));
    }
    if (row.leads_to(Phase::over)) left.insert(row.phase);
  }
  EXPECT_EQ(reached.size(), phase_count);
  EXPECT_EQ(left.size(), phase_count - 1);  // every phase but the last can end
}

TEST(SessionTable, EveryPhaseSurvivesALostClient) {
  for (std::size_t phase = 0; phase < phase_count - 1; ++phase) {
    EXPECT_TRUE(ServerSession::knows(static_cast<Phase>(phase), ClientFailed{}));
  }
}

TEST(SessionTable, ArchitectureShowsItsDiagram) {
  std::ifstream file("ARCHITECTURE.md");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_NE(text.find("```mermaid\n" + diagram() + "```"), std::string::npos)
      << "ARCHITECTURE.md must hold this diagram:\n"
      << diagram();
}

}  // namespace
}  // namespace stile::session
