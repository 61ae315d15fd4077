// The back end for the simulation and tests: a fixed table, answered with programmed delays. A name with several rows
// is answered by them in turn, so that alternating answers can be told from steady ones. Threading: one engine's
// thread. Tested through caching_resolver_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "resolve/backend.h"

namespace stile::resolve {

class TableResolver final : public Backend {
 public:
  /// One family's part of a row.
  struct Half {
    FamilyAnswer answer{.reason = Reason::dns_not_found, .addresses = {}, .ttl = std::chrono::seconds(0)};
    std::optional<Duration> delay = Duration::zero();  // nothing: the question is never answered
  };
  struct Row {
    Half ipv4;
    Half ipv6;
  };
  /// The name of an address.
  struct NameRow {
    NameAnswer answer{.reason = Reason::dns_not_found, .ttl = std::chrono::seconds(0)};
    std::optional<Duration> delay = Duration::zero();  // nothing: the question is never answered
  };

  /// `engine` outlives the table.
  explicit TableResolver(engine::Engine& engine) noexcept;
  /// Only after `close` has completed, or when no answer is due (asserted).
  ~TableResolver() override;

  /// A half with these addresses, or a denial where there are none.
  [[nodiscard]] static Half half(std::vector<Address> addresses, std::chrono::seconds ttl,
                                 Duration delay = Duration::zero());
  /// Adds a row for `name`. A name without a row does not exist.
  void add(const HostName& name, Row row);
  /// Sets the row of `address`. An address without a row has no name.
  void set(const Address& address, NameRow row) { names_[address] = std::move(row); }
  void set_prefers_ipv6(bool preferred) noexcept { prefers_ipv6_ = preferred; }
  /// Questions asked so far.
  [[nodiscard]] std::size_t questions() const noexcept { return questions_; }

  void ask(std::uint64_t id, const HostName& name, Asker& asker) override;
  void ask_name(std::uint64_t id, const Address& address, Asker& asker) override;
  void forget(std::uint64_t id) noexcept override;
  [[nodiscard]] bool prefers_ipv6() override { return prefers_ipv6_; }
  void close(engine::Operation& closed) noexcept override;

 private:
  struct Rows {
    std::vector<Row> rows;
    std::size_t next = 0;
  };
  class Reply;

  using Tell = std::function<void(Asker&)>;

  void start_reply(std::uint64_t id, std::optional<Duration> delay, Asker& asker, Tell tell);
  void finished(Reply& reply);

  engine::Engine& engine_;
  std::map<HostName, Rows> table_;
  std::map<Address, NameRow> names_;
  std::vector<std::unique_ptr<Reply>> replies_;
  std::size_t questions_ = 0;
  bool prefers_ipv6_ = true;
  engine::Operation* closed_ = nullptr;
};

}  // namespace stile::resolve
