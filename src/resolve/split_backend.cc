#include "resolve/split_backend.h"

#include <algorithm>
#include <utility>

#include "resolve/reverse_name.h"

namespace stile::resolve {

SplitBackend::Routes::Routes(const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    for (const HostName& suffix : part.suffixes) suffixes_.add(suffix, part.backend.get());
    if (!part.suffixes.empty()) continue;
    STILE_ASSERT(rest_ == nullptr);
    rest_ = part.backend.get();
  }
  STILE_ASSERT(rest_ != nullptr);
}

Backend& SplitBackend::Routes::find(const HostName& name) const {
  Backend* const* const found = suffixes_.find(name);
  return found == nullptr ? *rest_ : **found;
}

Backend& SplitBackend::Routes::find(const Host& subject) const {
  if (const auto* const address = std::get_if<Address>(&subject)) return find(reverse_name(*address));
  return find(std::get<HostName>(subject));
}

/// A back end that is asked nothing any longer, until nothing of it is pending in the engine.
struct SplitBackend::Retired {
  Retired(SplitBackend& owner, std::shared_ptr<Backend> old) : split(owner), backend(std::move(old)) {
    quiet.bind<&Retired::on_quiet>(this);
  }
  void on_quiet(engine::Status) { split.buried(*this); }

  SplitBackend& split;
  std::shared_ptr<Backend> backend;
  engine::Operation quiet;
};

SplitBackend::SplitBackend(engine::Engine& engine, std::vector<Part> parts)
    : engine_(engine), parts_(std::move(parts)), routes_(parts_) {}

SplitBackend::~SplitBackend() {
  STILE_ASSERT(retired_.empty());
}

void SplitBackend::set(std::vector<Part> parts) {
  STILE_ASSERT(closed_ == nullptr);
  routes_ = Routes(parts);
  const std::vector<Part> before = std::exchange(parts_, std::move(parts));
  for (const Part& part : before) {
    const auto is_kept = [&](const Part& other) { return other.backend == part.backend; };
    if (std::ranges::none_of(parts_, is_kept)) retire(part.backend);
  }
}

void SplitBackend::ask(std::uint64_t id, const HostName& name, Asker& asker) {
  routes_.find(name).ask(id, name, asker);
}

void SplitBackend::ask_name(std::uint64_t id, const Address& address, Asker& asker) {
  routes_.find(Host(address)).ask_name(id, address, asker);
}

// Whichever was asked: the routes may be others by now.
void SplitBackend::forget(std::uint64_t id) noexcept {
  for (const Part& part : parts_) part.backend->forget(id);
}

void SplitBackend::close(engine::Operation& closed) noexcept {
  STILE_ASSERT(closed_ == nullptr);
  closed_ = &closed;
  for (Part& part : parts_) retire(std::move(part.backend));
  parts_.clear();
}

void SplitBackend::retire(std::shared_ptr<Backend> backend) {
  Retired& old = *retired_.emplace_back(std::make_unique<Retired>(*this, std::move(backend)));
  old.backend->close(old.quiet);
}

void SplitBackend::buried(Retired& retired) {
  std::erase_if(retired_, [&](const auto& one) { return one.get() == &retired; });
  post_closed_if_quiet();
}

void SplitBackend::post_closed_if_quiet() {
  if (closed_ == nullptr || !retired_.empty()) return;
  engine_.post(*std::exchange(closed_, nullptr));
}

}  // namespace stile::resolve
