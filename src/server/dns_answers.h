// DNS for clients that ask it (`[[dns]]`): their questions go by the server's own resolver (its cache, the operator's
// addresses, resolvers by suffix), under the policy's command `resolve`, as RESOLVE and RESOLVE_PTR of SOCKS do; where
// a rule leads through upstreams, the last one of them is asked. What a client may not ask is refused; so is every type
// but A, AAAA and PTR, with "not implemented". Bounded. Refusals alone are recorded: of a client that repeats itself,
// once. Threading: one engine's thread. Tested in tests/e2e/dns_test.py.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>

#include "server/name_server.h"
#include "server/worker.h"

namespace stile::server {

class DnsAnswers final : public NameSource {
 public:
  /// All outlive it. `reporter`: nullptr: nobody is told.
  DnsAnswers(engine::EpollEngine& engine, resolve::Resolver& resolver, Worker& worker, Reporter* reporter);
  DnsAnswers(const DnsAnswers&) = delete;
  DnsAnswers& operator=(const DnsAnswers&) = delete;
  /// When it is quiet.
  ~DnsAnswers() override;

  void ask(ConstBytes message, const Address& client, const Address& called, NameAsker& asker) override;
  void forget(NameAsker& asker) noexcept override;
  /// No more is asked; the engine is stopped as soon as nothing is under way.
  void stop() noexcept { stopping_ = true; }
  /// Nothing is under way.
  [[nodiscard]] bool quiet() const noexcept { return questions_.empty(); }

 private:
  class Question;

  void ended(const Question& question) noexcept;
  void record(const Address& client, const Address& called, const Target& target, const policy::Verdict& verdict,
              const Common& common);

  engine::EpollEngine& engine_;
  resolve::Resolver& resolver_;
  Worker& worker_;
  Reporter* reporter_;
  std::list<std::unique_ptr<Question>> questions_;
  std::map<Address, Target> refused_;  // of each client, what records told last
  bool stopping_ = false;
};

}  // namespace stile::server
