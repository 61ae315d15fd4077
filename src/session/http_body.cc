#include "session/http_body.h"

#include <algorithm>

namespace stile::session {

std::size_t HttpBodyPassage::take(ConstBytes octets, OctetQueue& out) {
  if (body_.kind == wire::HttpBodyKind::chunked) return take_chunks(octets, out);
  if (body_.kind == wire::HttpBodyKind::until_close) {
    out.append(octets);
    return octets.size();
  }
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(body_.octets, octets.size()));
  body_.octets -= taken;
  out.append(octets.first(taken));
  return taken;
}

std::size_t HttpBodyPassage::take_chunks(ConstBytes octets, OctetQueue& out) {
  std::size_t taken = 0;
  while (taken < octets.size() && !finished() && !broken()) {
    const auto run = chunks_.next(octets.subspan(taken));
    if (framing_ == Framing::stripped && run.payload) out.append(octets.subspan(taken, run.octets));
    taken += run.octets;
  }
  if (framing_ == Framing::kept) out.append(octets.first(taken));
  return taken;
}

bool HttpBodyPassage::finished() const noexcept {
  switch (body_.kind) {
    case wire::HttpBodyKind::chunked:
      return chunks_.finished();
    case wire::HttpBodyKind::until_close:
      return false;
    default:
      return body_.octets == 0;
  }
}

}  // namespace stile::session
