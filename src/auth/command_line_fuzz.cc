// Answers of the operator's program on arbitrary octets: what is accepted has an id, and names that anybody may read.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "auth/command_line.h"
#include "base/assert.h"
#include "base/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  const auto answer = auth::read_command_answer({reinterpret_cast<const char*>(data), size});
  if (!answer) return 0;
  STILE_ASSERT(!answer->user || wire::is_name_for_back_ends(*answer->user));
  STILE_ASSERT(answer->groups.size() <= limits::user_groups_max);
  STILE_ASSERT(answer->accepted || (!answer->user && answer->groups.empty()));
  for (const std::string& group : answer->groups) STILE_ASSERT(wire::is_name_for_back_ends(group));
  return 0;
}
