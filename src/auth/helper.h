// The helper process: judges names and passwords by foreign code, away from the server (security reference, 6.4). It
// takes records from the server (wire/helper_record.h) and answers each by a verdict. PAM's modules run in a process of
// their own for each login: one that hangs is ended when its login is due, and one that crashes takes nothing with it
// and can answer for no other login. The operator's program runs beside it (command_program.h), and so does the process
// that accepts GSSAPI's tokens (token_process.h). A supervisor, which does nothing else, starts the helper again when
// it ends. All of them end with the server, keep no descriptor of it but this socket and standard error, and take no
// signal that is meant for the terminal or for the whole service. Refuses: requests that no server makes, and more at
// once than a server has under way; both parse what the other says as hostile. Threading: one thread a process;
// `start_helper` before the server's process has a second one. Tested in helper_test.cc, tests/e2e/pam_test.py and
// command_test.py.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "sys/process.h"
#include "sys/unique_fd.h"
#include "wire/helper_record.h"

namespace stile::auth {

struct PamVerdict;

struct HelperPlan {
  std::vector<std::string> program;               // the operator's, and its arguments; empty: there is none
  PamVerdict (*judge)(const wire::HelperLogin&);  // by PAM; runs in a process of its own
  std::function<int(int socket)> accept = {};     // GSSAPI's tokens (gss_acceptor.h); likewise. Empty: nobody does
  std::function<void()> forget = [] {};           // run in the copy first: what foreign code may not find in memory
};

struct StartedHelper {
  sys::UniqueFd socket;
  sys::Process supervisor;  // ends when the socket is closed
};

[[nodiscard]] Result<StartedHelper> start_helper(const HelperPlan& plan);

/// The helper's life, in its own process: until the server's end of `socket` is closed. The exit code; 0 then.
[[nodiscard]] int run_helper(int socket, const HelperPlan& plan);

}  // namespace stile::auth
