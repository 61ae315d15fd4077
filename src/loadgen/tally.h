// What a run counts. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "loadgen/histogram.h"

namespace stile::loadgen {

struct Tally {
  std::uint64_t operations = 0;
  std::uint64_t octets = 0;  // of payload that arrived at its end: at the client, or at the origin of a stream up
  std::uint64_t drops = 0;   // datagrams that did not come back in time
  std::uint64_t wrong = 0;   // streams, messages and datagrams with wrong, lost or superfluous octets
  bool recording = false;    // latencies
  Histogram latency;
  std::map<std::string, std::uint64_t, std::less<>> errors;  // by reason; a wrong octet is one as well

  void done(Duration took, std::uint64_t payload_octets) noexcept {
    ++operations;
    octets += payload_octets;
    if (recording) latency.record(took);
  }
  void failed(std::string_view why) {
    const auto found = errors.find(why);
    if (found != errors.end()) {
      ++found->second;
    } else {
      errors.emplace(why, 1);
    }
  }
  void found_wrong(std::string_view what) {
    ++wrong;
    failed(what);
  }
};

}  // namespace stile::loadgen
