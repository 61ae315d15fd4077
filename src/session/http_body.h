// Passes one HTTP body on, to its end (RFC 9112 section 6): as it is, or without the framing of its chunks. Octets move
// in runs, never one by one. Refuses: octets behind the end, which are the next message's. Threading: a plain object,
// used by one thread. Tested in http_exchange_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/octet_queue.h"
#include "wire/http_chunked.h"
#include "wire/http_head.h"

namespace stile::session {

class HttpBodyPassage {
 public:
  enum class Framing : std::uint8_t {
    kept,
    stripped,  // for a receiver that reads no chunks
  };

  HttpBodyPassage(const wire::HttpBody& body, Framing framing) noexcept : body_(body), framing_(framing) {}

  /// Appends to `out` what of `octets` belongs to the body, from their beginning on; answers how many that were.
  std::size_t take(ConstBytes octets, OctetQueue& out);

  /// Never for a body that ends with its connection.
  [[nodiscard]] bool finished() const noexcept;
  [[nodiscard]] bool broken() const noexcept { return chunks_.broken(); }
  [[nodiscard]] bool ends_with_connection() const noexcept { return body_.kind == wire::HttpBodyKind::until_close; }

 private:
  std::size_t take_chunks(ConstBytes octets, OctetQueue& out);

  wire::HttpBody body_;  // octets: what is due yet
  Framing framing_;
  wire::HttpChunkedScanner chunks_;
};

}  // namespace stile::session
