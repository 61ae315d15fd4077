// The process that accepts GSSAPI tokens (gss_acceptor.h), as the helper process keeps it: begun with the first token,
// again when it has ended, ended when it holds a token for longer than that is due. Refuses: to believe what it says
// about anything but what it was asked. Threading: the helper's one thread. Tested in helper_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "sys/process.h"
#include "sys/unique_fd.h"
#include "sys/wait_any.h"
#include "wire/helper_record.h"

namespace stile::auth {

class TokenProcess {
 public:
  using Body = std::function<int(int socket)>;
  using Answer = std::function<void(const wire::HelperProgress&)>;
  using Say = std::function<void(std::string_view)>;

  /// `body` is the process: records of tokens in, of progress out, until the other end of its socket is closed.
  TokenProcess(Body body, Answer answer, Say say);
  TokenProcess(const TokenProcess&) = delete;
  TokenProcess& operator=(const TokenProcess&) = delete;

  /// Exactly one answer follows, at the latest when the token is due. `record`: the token's own.
  void ask(const wire::HelperToken& token, ConstBytes record, Duration now);
  /// Reads and expires whatever there is; never waits.
  void advance(Duration now);
  /// What to wait for before `advance` has something to do.
  void watch(std::vector<sys::Waited>& all) const;
  [[nodiscard]] std::optional<Duration> due() const;

 private:
  bool start(Duration now);
  void hear();
  void stop(wire::HelperOutcome outcome);
  void settle(std::uint64_t id, wire::HelperOutcome outcome);

  const Body body_;
  const Answer answer_;
  const Say say_;
  sys::Process process_;
  sys::UniqueFd socket_;
  Duration start_at_{};                      // not before
  std::map<std::uint64_t, Duration> asked_;  // when each is due
  std::vector<std::uint8_t> room_;           // what comes may hold keys: wiped
};

}  // namespace stile::auth
