// The resolver that the server asks. In this order: localhost, the operator's own addresses, reserved names (security
// reference, section 4.3), the hosts file, the cache, an equal question that is already in flight, a question to the
// back end. A question is a name, which asks
// for its addresses, or an address, which asks for its name; they share the cache and the bounds.
//
// A name's question ends when both families are in, or at the time limit. From the first family's addresses on the
// askers wait limits::dns_second_family_wait more (RFC 8305 section 3); a family that comes later still goes into the
// cache. Threading: one engine's thread. Bounded: answers cached, and questions in flight to each part of the back end;
// more questions are answered dns_failed. Tested in caching_resolver_test.cc on the simulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/counter.h"
#include "base/limits.h"
#include "engine/engine.h"
#include "resolve/answer_cache.h"
#include "resolve/backend.h"
#include "resolve/hosts_source.h"
#include "resolve/resolver.h"

namespace stile::resolve {

/// Where a resolver counts; what is absent is not counted.
struct CacheCounters {
  Counter* hits = nullptr;
  Counter* negative_hits = nullptr;
  Counter* misses = nullptr;
  Counter* entries = nullptr;  // gauge
  Counter* evicted = nullptr;
  Counter* joined = nullptr;
  Counter* busy = nullptr;
};

class CachingResolver final : public Resolver {
 public:
  struct Options {
    std::string hosts_path;  // empty: no hosts file
    sys::ReadFile read_file = sys::read_file;
    Duration total = limits::dns_total;
    Duration second_family_wait = limits::dns_second_family_wait;
    std::size_t answers_max = limits::dns_cached_names_max;
    std::size_t in_flight_max = limits::dns_in_flight_max;  // of each part of the back end
    CacheCounters counters{};
  };

  /// `engine` and `backend` outlive the resolver.
  CachingResolver(engine::Engine& engine, Backend& backend, Options options);
  /// Only after `close` has completed, or when nothing is in flight (asserted).
  ~CachingResolver() override;

  void resolve(Lookup& lookup, const HostName& name) override;
  void reverse(Lookup& lookup, const Address& address) override;
  void cancel(Lookup& lookup) noexcept override;

  /// Names and addresses that the operator has given each other: they win over all but localhost. Absent: none.
  void set_overrides(std::shared_ptr<const HostsTable> overrides) noexcept { overrides_ = std::move(overrides); }
  /// The back end asks others about what `changed` holds for: answers are forgotten, open questions asked anew.
  void forget(const std::function<bool(const Host&)>& changed);

  /// Cancels every lookup, ends every question and closes the back end; `closed` is posted once both may be destroyed.
  /// Lookups started after this complete as cancelled.
  void close(engine::Operation& closed) noexcept;

  [[nodiscard]] std::size_t questions_in_flight() const noexcept { return questions_.size(); }
  [[nodiscard]] std::size_t answers_cached() const noexcept { return cache_.size(); }
  /// Why the hosts file is not in force, for the operator.
  [[nodiscard]] const std::optional<Error>& hosts_error() const noexcept { return hosts_.error(); }

 private:
  class Question;

  void find(Lookup& lookup, const Host& subject);
  [[nodiscard]] std::optional<Answer> answer_without_asking(const Host& subject);
  [[nodiscard]] std::optional<Answer> answer_of(const HostsTable& hosts, const Host& subject);
  [[nodiscard]] std::optional<Answer> cached_answer(const Host& subject);
  [[nodiscard]] bool is_reserved(const Host& subject) const;
  [[nodiscard]] bool is_busy(const Host& subject) const;
  [[nodiscard]] std::vector<Address> ordered(const std::vector<Address>& addresses);
  void ask(Lookup& lookup, const Host& subject);
  /// Later lookups of its subject ask anew.
  void detach(const Question& question);
  void destroy(const Question& question);
  void follow_entries();

  engine::Engine& engine_;
  Backend& backend_;
  Options options_;
  std::shared_ptr<const HostsTable> overrides_;
  HostsSource hosts_;
  AnswerCache cache_;
  std::map<std::uint64_t, std::unique_ptr<Question>> questions_;  // by id; those that have ended too, until quiet
  std::map<Host, Question*> asking_;                              // those that can be joined
  std::map<const Backend*, std::size_t> open_;                    // questions of each part; none: no entry
  std::uint64_t next_id_ = 0;
  engine::Operation* closed_ = nullptr;
};

}  // namespace stile::resolve
