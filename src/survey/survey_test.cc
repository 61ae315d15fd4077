// What counts as a proxy that works.
#include "survey/survey.h"

#include <gtest/gtest.h>

namespace stile::survey {
namespace {

Report report_of(Answer connect) {
  Report report;
  report.add("commands", "BIND", Answer::yes);
  report.add("commands", "CONNECT", connect);
  return report;
}

TEST(Survey, BasicsWorkWhereAConnectionWasSeen) {
  Plan plan;
  EXPECT_TRUE(basics_work(report_of(Answer::yes), plan));
  EXPECT_FALSE(basics_work(report_of(Answer::no), plan));
  EXPECT_FALSE(basics_work(report_of(Answer::untested), plan));
  EXPECT_FALSE(basics_work({}, plan)) << "it was not even reached";
}

TEST(Survey, WhereNoneCouldBeTriedItIsEnoughToBeReached) {
  Plan plan;
  plan.callback = false;
  EXPECT_TRUE(basics_work(report_of(Answer::untested), plan));
  EXPECT_FALSE(basics_work(report_of(Answer::no), plan));
  plan.targets.push_back({Address::v4(192, 0, 2, 1), 80});
  EXPECT_FALSE(basics_work(report_of(Answer::untested), plan));
}

}  // namespace
}  // namespace stile::survey
