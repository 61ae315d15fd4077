#include "resolve/name_service.h"

#include <algorithm>
#include <utility>

namespace stile::resolve {

Result<std::unique_ptr<NameService>> NameService::create(engine::EpollEngine& engine, Options options,
                                                         const NameSettings& settings) {
  std::unique_ptr<NameService> made(new NameService(engine, std::move(options)));
  auto members = made->members_of(settings);
  if (!members) return std::unexpected(members.error());
  made->members_ = std::move(*members);
  made->split_ = std::make_unique<SplitBackend>(engine, parts_of(made->members_));
  const Options& kept = made->options_;
  made->caching_ = std::make_unique<CachingResolver>(
      engine, *made->split_,
      CachingResolver::Options{
          .hosts_path = kept.hosts_path, .read_file = kept.read_file, .counters = kept.cache_counters});
  made->caching_->set_overrides(settings.overrides);
  return made;
}

Result<void> NameService::adopt(const NameSettings& settings) {
  auto members = members_of(settings);
  if (!members) return std::unexpected(members.error());
  const SplitBackend::Routes before = split_->routes();
  const std::vector<Member> still_there_to_compare = std::exchange(members_, std::move(*members));
  split_->set(parts_of(members_));
  caching_->set_overrides(settings.overrides);
  caching_->forget([&](const Host& subject) { return &before.find(subject) != &split_->routes().find(subject); });
  return {};
}

Result<std::vector<NameService::Member>> NameService::members_of(const NameSettings& settings) const {
  std::vector<NameServers> wanted = settings.servers;
  const auto is_for_the_rest = [](const NameServers& one) { return one.suffixes.empty(); };
  if (std::ranges::none_of(wanted, is_for_the_rest)) wanted.emplace_back();
  std::vector<Member> members;
  for (NameServers& one : wanted) {
    // One that is there may serve one table only: each has bounds and figures of its own.
    const auto is_taken = [&](const Member& known) {
      return std::ranges::any_of(members, [&](const Member& other) { return other.resolver == known.resolver; });
    };
    const auto same = std::ranges::find_if(
        members_, [&](const Member& known) { return known.asked.asks_like(one) && !is_taken(known); });
    auto resolver = same != members_.end() ? Result<std::shared_ptr<CaresResolver>>(same->resolver) : resolver_of(one);
    if (!resolver) return std::unexpected(resolver.error());
    members.push_back({.asked = std::move(one), .resolver = std::move(*resolver)});
  }
  return members;
}

Result<std::shared_ptr<CaresResolver>> NameService::resolver_of(const NameServers& wanted) const {
  auto made = CaresResolver::create(engine_, {.servers = wanted.servers,
                                              .transport = wanted.transport,
                                              .resolv_conf_path = options_.resolv_conf_path,
                                              .read_file = options_.read_file,
                                              .try_time = wanted.try_time,
                                              .questions = options_.questions,
                                              .failures = options_.failures});
  if (!made) return std::unexpected(made.error());
  return std::shared_ptr<CaresResolver>(std::move(*made));
}

std::vector<SplitBackend::Part> NameService::parts_of(const std::vector<Member>& members) {
  std::vector<SplitBackend::Part> parts;
  for (const Member& member : members) parts.push_back({.suffixes = member.asked.suffixes, .backend = member.resolver});
  return parts;
}

std::vector<NameService::Figures> NameService::figures() const {
  std::vector<Figures> figures;
  for (const Member& member : members_) {
    figures.push_back(
        {.suffixes = member.asked.suffixes, .servers = member.asked.servers, .counted = member.resolver->figures()});
  }
  return figures;
}

}  // namespace stile::resolve
