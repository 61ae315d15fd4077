// A question to the carrier (carrier.h), and its answer: over a link of its own, which is closed behind it, so that
// nothing of this library's is open in the program, in its children, or when it closes all it has. Waits for the
// carrier alone, which never waits. Allocates nothing and holds no lock: any thread, a signal handler, a child of
// vfork. Where the carrier is one that programs start for themselves, and none is there, it is started. Tested by
// tests/e2e/preload_test.py.
#pragma once

#include <pthread.h>

#include "preload/message.h"
#include "sys/unique_fd.h"

namespace stile::preload::inside {

/// A thread that is cancelled ends before a question, with what is done by its answer, or behind it.
class WithoutCancellation {
 public:
  WithoutCancellation() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  WithoutCancellation(const WithoutCancellation&) = delete;
  WithoutCancellation& operator=(const WithoutCancellation&) = delete;
  ~WithoutCancellation() { ::pthread_setcancelstate(before_, nullptr); }

 private:
  int before_ = 0;
};

struct Heard {
  int error = 0;       // ENETUNREACH: nobody answered; EMFILE, ENFILE: nobody was asked; else the answer's own
  Answer answer;       // its octets lie in `room`
  sys::UniqueFd link;  // closed by whoever asked when he has done his part
  MessageRoom room;
};

/// `proof` is filled in.
void ask(Question question, Heard& heard) noexcept;

}  // namespace stile::preload::inside
