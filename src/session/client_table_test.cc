// The table behind ClientSession: complete, reachable, and the diagram in ARCHITECTURE.md is its picture.
#include "session/client_table.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <utility>

namespace stile::session {
namespace {

TEST(ClientTable, NoRowStandsTwice) {
  std::set<std::pair<ClientPhase, std::size_t>> seen;
  for (const ClientRow& row : ClientTable::rows()) EXPECT_TRUE(seen.emplace(row.phase, row.event).second);
}

TEST(ClientTable, EveryPhaseIsReachedAndLeft) {
  std::set<ClientPhase> reached{ClientPhase::opening};
  std::set<ClientPhase> left;
  for (const ClientRow& row : ClientTable::rows()) {
    for (std::size_t to = 0; to < client_phase_count; ++to) {
      if (row.leads_to(static_cast<ClientPhase>(to))) reached.insert(static_cast<ClientPhase>(to));
    }
    if (row.leads_to(ClientPhase::over)) left.insert(row.phase);
  }
  EXPECT_EQ(reached.size(), client_phase_count);
  EXPECT_EQ(left.size(), client_phase_count - 1);  // every phase but the last can end
}

TEST(ClientTable, EveryPhaseSurvivesALostProxyAndEndlessPatience) {
  for (std::size_t phase = 0; phase < client_phase_count - 1; ++phase) {
    EXPECT_TRUE(ClientSession::knows(static_cast<ClientPhase>(phase), ClientSession::ProxyLost{}));
    EXPECT_TRUE(ClientSession::knows(static_cast<ClientPhase>(phase), ClientSession::DeadlinePassed{}));
  }
}

TEST(ClientTable, ArchitectureShowsItsDiagram) {
  std::ifstream file("ARCHITECTURE.md");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_NE(text.find("```mermaid\n" + client_diagram() + "```"), std::string::npos)
      << "ARCHITECTURE.md must hold this diagram:\n"
      << client_diagram();
}

}  // namespace
}  // namespace stile::session
