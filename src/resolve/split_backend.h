// Several back ends behind one face: a question goes to the one that has the longest suffix of its name, else to the
// one that has none. That of an address goes by the address's own name (reverse_name.h). What one of them does not
// answer holds up nothing of the others. Threading: one engine's thread. Tested in split_backend_test.cc on the
// simulation.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "resolve/backend.h"
#include "resolve/suffix_map.h"

namespace stile::resolve {

class SplitBackend final : public Backend {
 public:
  struct Part {
    std::vector<HostName> suffixes;  // none: every name that no other part has
    std::shared_ptr<Backend> backend;
  };
  /// Which part a question goes to; a value that outlives what it was made of.
  class Routes {
   public:
    /// A suffix that stands in two parts is the earlier one's; exactly one part has none (asserted).
    explicit Routes(const std::vector<Part>& parts);
    [[nodiscard]] Backend& find(const HostName& name) const;
    [[nodiscard]] Backend& find(const Host& subject) const;
    [[nodiscard]] Backend& rest() const noexcept { return *rest_; }
    [[nodiscard]] bool claims(const HostName& name) const { return suffixes_.find(name) != nullptr; }

   private:
    SuffixMap<Backend*> suffixes_;
    Backend* rest_ = nullptr;
  };

  /// `engine` outlives it.
  SplitBackend(engine::Engine& engine, std::vector<Part> parts);
  /// Only after `close` has completed, or when nothing was ever asked (asserted).
  ~SplitBackend() override;

  /// Other parts from now on. A back end that is in none of them is closed: whoever asked it hears nothing more, and
  /// has to ask again.
  void set(std::vector<Part> parts);
  [[nodiscard]] const Routes& routes() const noexcept { return routes_; }

  void ask(std::uint64_t id, const HostName& name, Asker& asker) override;
  void ask_name(std::uint64_t id, const Address& address, Asker& asker) override;
  void forget(std::uint64_t id) noexcept override;
  [[nodiscard]] bool prefers_ipv6() override { return routes_.rest().prefers_ipv6(); }
  [[nodiscard]] const Backend& part_for(const Host& subject) const override { return routes_.find(subject); }
  [[nodiscard]] bool claims(const HostName& name) const override { return routes_.claims(name); }
  void close(engine::Operation& closed) noexcept override;

 private:
  struct Retired;

  void retire(std::shared_ptr<Backend> backend);
  void buried(Retired& retired);
  void post_closed_if_quiet();

  engine::Engine& engine_;
  std::vector<Part> parts_;
  Routes routes_;
  std::vector<std::unique_ptr<Retired>> retired_;
  engine::Operation* closed_ = nullptr;
};

}  // namespace stile::resolve
