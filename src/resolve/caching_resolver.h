// The resolver that the server asks. In this order: special names (security reference, section 4.3), the hosts file,
// the cache, an equal question that is already in flight, a question to the back end. A question is a name, which asks
// for its addresses, or an address, which asks for its name; they share the cache and the bounds.
//
// A name's question ends when both families are in, or at the time limit. From the first family's addresses on the
// askers wait limits::dns_second_family_wait more (RFC 8305 section 3); a family that comes later still goes into the
// cache. Threading: one engine's thread. Bounded: answers cached and questions in flight; more questions are answered
// dns_failed. Tested in caching_resolver_test.cc on the simulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/limits.h"
#include "engine/engine.h"
#include "resolve/answer_cache.h"
#include "resolve/backend.h"
#include "resolve/hosts_source.h"
#include "resolve/resolver.h"

namespace stile::resolve {

class CachingResolver final : public Resolver {
 public:
  struct Options {
    std::string hosts_path;  // empty: no hosts file
    sys::ReadFile read_file = sys::read_file;
    Duration total = limits::dns_total;
    Duration second_family_wait = limits::dns_second_family_wait;
    std::size_t answers_max = limits::dns_cached_names_max;
    std::size_t in_flight_max = limits::dns_in_flight_max;
  };

  /// `engine` and `backend` outlive the resolver.
  CachingResolver(engine::Engine& engine, Backend& backend, Options options);
  /// Only after `close` has completed, or when nothing is in flight (asserted).
  ~CachingResolver() override;

  void resolve(Lookup& lookup, const HostName& name) override;
  void reverse(Lookup& lookup, const Address& address) override;
  void cancel(Lookup& lookup) noexcept override;

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
  [[nodiscard]] std::optional<Answer> hosts_answer(const Host& subject);
  [[nodiscard]] std::vector<Address> ordered(const std::vector<Address>& addresses);
  void ask(Lookup& lookup, const Host& subject);
  /// Later lookups of its subject ask anew.
  void detach(const Question& question);
  void destroy(const Question& question);

  engine::Engine& engine_;
  Backend& backend_;
  Options options_;
  HostsSource hosts_;
  AnswerCache cache_;
  std::map<std::uint64_t, std::unique_ptr<Question>> questions_;  // by id; those that have ended too, until quiet
  std::map<Host, Question*> asking_;                              // those that can be joined
  std::uint64_t next_id_ = 0;
  engine::Operation* closed_ = nullptr;
};

}  // namespace stile::resolve
