#include "server/accept_batch.h"

#include <gtest/gtest.h>

namespace stile::server {
namespace {

// Accepts until `waiting` are taken; answers in how many turns. `vain` counts accepts that found nothing.
int turns_for(AcceptBatch& batch, int waiting, int& vain) {
  int turns = 0;
  while (waiting > 0) {
    ++turns;
    const int accepted = std::min(batch.size(), waiting);
    if (accepted < batch.size()) ++vain;
    waiting -= accepted;
    batch.took(accepted);
  }
  return turns;
}

TEST(AcceptBatch, LoneConnectionsSeldomCostASecondAccept) {
  AcceptBatch batch;
  int vain = 0;
  for (int i = 0; i < 10'000; ++i) turns_for(batch, 1, vain);
  EXPECT_LT(vain, 200);
  EXPECT_GT(vain, 0) << "it never looks whether more wait";
}

TEST(AcceptBatch, ABurstIsTakenInFewTurns) {
  AcceptBatch batch;
  int vain = 0;
  EXPECT_LE(turns_for(batch, 4'096, vain), 6 + 4'096 / AcceptBatch::size_max + 1);
}

TEST(AcceptBatch, ABurstBehindLoneConnectionsIsTakenInFewTurns) {
  AcceptBatch batch;
  int vain = 0;
  for (int i = 0; i < 10'000; ++i) turns_for(batch, 1, vain);
  EXPECT_LE(turns_for(batch, 4'096, vain), 64 + 6 + 4'096 / AcceptBatch::size_max + 1);
}

TEST(AcceptBatch, IsNeverEmptyAndNeverTooLarge) {
  AcceptBatch batch;
  for (int accepted = 0; accepted <= AcceptBatch::size_max; ++accepted) {
    for (int i = 0; i < 200; ++i) {
      batch.took(std::min(accepted, batch.size()));
      ASSERT_GE(batch.size(), 1);
      ASSERT_LE(batch.size(), AcceptBatch::size_max);
    }
  }
}

}  // namespace
}  // namespace stile::server
