#include "server/upstream_news.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/duration.h"

namespace stile::server {

const route::UpstreamPlan* UpstreamNews::plan_in_use(std::string_view upstream) const noexcept {
  const auto found = std::ranges::find_if(plans_, [&](const auto& plan) { return plan->settings.name == upstream; });
  return found == plans_.end() ? nullptr : found->get();
}

bool UpstreamNews::in_use(const route::UpstreamPlan& plan) const noexcept {
  const route::UpstreamPlan* const now = plan_in_use(plan.settings.name);
  return now != nullptr && now->settings == plan.settings;
}

void UpstreamNews::went_down(const route::UpstreamPlan& plan, std::size_t server, Instant now,
                             std::string why) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    if (!in_use(plan)) return;
    Known& known = known_[{plan.settings.name, server}];
    if (known.is_down) return;
    known.is_down = true;
    if (!known.told_down) known.since = now;
    known.why = std::move(why);
  }
  wake_();
}

void UpstreamNews::came_back(const route::UpstreamPlan& plan, std::size_t server, Instant now) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    const auto known = known_.find({plan.settings.name, server});
    if (!in_use(plan) || known == known_.end() || !known->second.is_down) return;
    known->second.is_down = false;
    known->second.until = now;
  }
  wake_();
}

void UpstreamNews::use(route::UpstreamPlans plans) {
  const std::scoped_lock lock(mutex_);
  const route::UpstreamPlans before = std::exchange(plans_, std::move(plans));
  for (const auto& plan : before) {
    if (in_use(*plan)) continue;
    std::erase_if(known_, [&](const auto& entry) { return entry.first.first == plan->settings.name; });
  }
}

std::vector<UpstreamNews::Line> UpstreamNews::take() {
  std::vector<Line> lines;
  const std::scoped_lock lock(mutex_);
  for (auto& [key, known] : known_) {
    if (known.is_down == known.told_down) continue;
    known.told_down = known.is_down;
    const std::string server =
        fmt::format("upstream {}: {}", key.first, plan_in_use(key.first)->hops[key.second].url.to_string());
    if (known.is_down) {
      lines.push_back({.what = server + " is down", .why = known.why});
    } else {
      // Two workers' clocks need not agree on which came first.
      const Duration after = std::max<Duration>(known.until - known.since, Duration::zero());
      lines.push_back({.what = fmt::format("{} is back after {}", server, rough_text(after)), .why = {}});
    }
  }
  std::erase_if(known_, [](const auto& entry) { return !entry.second.is_down; });
  return lines;
}

}  // namespace stile::server
