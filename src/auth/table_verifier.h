// The verifier for the simulation and tests: passwords of the users in force stand in a table, and an answer takes as
// long as the engine's chance draws. It costs no hash. Threading: one engine's thread. Tested through tests/sim.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "auth/verifier.h"

namespace stile::auth {

class TableVerifier final : public Verifier {
 public:
  /// `engine` outlives it. An answer takes at most `slowest`; one in `busy_one_in` logins is not looked at, none if 0.
  TableVerifier(engine::Engine& engine, Duration slowest, unsigned busy_one_in) noexcept;
  /// No answer is due (asserted).
  ~TableVerifier() override;

  void add(std::string user, std::string password);

  void verify(Login& login, const LoginRequest& request) override;
  void cancel(Login& login) noexcept override;
  void collect() override {}

 private:
  class Reply;

  void finished(Reply& reply);

  engine::Engine& engine_;
  Duration slowest_;
  unsigned busy_one_in_;
  std::map<std::string, std::string, std::less<>> passwords_;
  std::vector<std::unique_ptr<Reply>> replies_;
  std::uint64_t next_ticket_ = 1;
};

}  // namespace stile::auth
