// What the operator is told of upstreams: one line when a server goes down, with why, and one when it is back, however
// many workers notice it. Each worker learns by its own connections, one of them perhaps long after the others, so the
// first that sees a change is who is believed: a server that answers one of them is back.
// Refuses: to write. Workers leave what they saw here; the main thread is woken, and takes the lines.
// Bounded: what is not taken yet is the newest state of each server, and nothing of those before.
// Threading: any. Tested in upstream_news_test.cc.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "route/upstreams.h"

namespace stile::server {

class UpstreamNews final : public route::UpstreamWatch {
 public:
  /// `wake`: lines can be taken; called from any thread, and must not block.
  UpstreamNews(route::UpstreamPlans plans, std::function<void()> wake)
      : wake_(std::move(wake)), plans_(std::move(plans)) {}

  // Of an upstream that is not in use any longer nothing is told.
  void went_down(const route::UpstreamPlan& plan, std::size_t server, Instant now, std::string why) noexcept override;
  void came_back(const route::UpstreamPlan& plan, std::size_t server, Instant now) noexcept override;

  /// From now on, these are in use; what was known of one whose settings are others is forgotten, as workers do.
  void use(route::UpstreamPlans plans);

  struct Line {
    std::string what;
    std::string why;  // empty: good news
  };
  [[nodiscard]] std::vector<Line> take();

 private:
  struct Known {
    bool is_down = false;
    bool told_down = false;  // the operator was
    Instant since{};         // it is down
    Instant until{};         // it was, where it is not
    std::string why;
  };
  using Key = std::pair<std::string, std::size_t>;  // upstream and server

  [[nodiscard]] const route::UpstreamPlan* plan_in_use(std::string_view upstream) const noexcept;
  [[nodiscard]] bool in_use(const route::UpstreamPlan& plan) const noexcept;

  const std::function<void()> wake_;
  std::mutex mutex_;
  route::UpstreamPlans plans_;  // under mutex_, as the following
  std::map<Key, Known> known_;  // those that are down, or of which something is to be told
};

}  // namespace stile::server
