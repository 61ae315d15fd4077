// The operator's program that judges names and passwords (docs/authentication.md), as the helper process runs it:
// started once, asked line by line, started again with a growing pause when it ends. What it says on standard error
// becomes notices, so many in a while. Refuses: to wait for it. It is given no more than it reads; whoever is not
// answered in time is told that nobody answers. Threading: the helper's one thread. Tested in helper_test.cc with real
// programs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "sys/process.h"
#include "sys/wait_any.h"
#include "wire/helper_record.h"

namespace stile::auth {

class CommandProgram {
 public:
  using Answer = std::function<void(const wire::HelperVerdict&)>;
  using Say = std::function<void(std::string_view)>;

  CommandProgram(std::vector<std::string> words, Answer answer, Say say);
  ~CommandProgram();
  CommandProgram(const CommandProgram&) = delete;
  CommandProgram& operator=(const CommandProgram&) = delete;

  /// Exactly one answer follows, at the latest when the login is due.
  void ask(const wire::HelperLogin& login, Duration now);
  /// Reads, writes, starts and expires whatever there is; never waits.
  void advance(Duration now);
  /// What to wait for before `advance` has something to do.
  void watch(std::vector<sys::Waited>& all) const;
  [[nodiscard]] std::optional<Duration> due() const;

 private:
  struct Asked {
    std::string user;
    Duration due{};
  };

  void start(Duration now);
  void stop(Duration now, const std::string& why);
  void write();
  void read(Duration now);
  void read_errors(Duration now);
  void take(std::string_view line, Duration now);
  void settle(std::uint64_t id, wire::HelperOutcome outcome);
  void expire(Duration now);
  void notice(std::string text, Duration now);

  const std::vector<std::string> words_;
  const Answer answer_;
  const Say say_;
  std::optional<sys::Process::Executed> program_;
  Duration started_{};
  Duration start_at_{};  // not before
  Duration pause_ = limits::helper_restart_first;
  std::map<std::uint64_t, Asked> asked_;
  std::vector<std::uint8_t> to_program_;  // holds passwords
  std::string from_program_;
  std::string errors_;
  Duration notices_since_{};
  std::size_t notices_ = 0;
};

}  // namespace stile::auth
