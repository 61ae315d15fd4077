#include <nftables/libnftables.h>

#include <memory>

#include "sys/packet_rules.h"

namespace stile::sys {

std::expected<void, std::string> add_packet_rules(const std::string& rules) {
  const std::unique_ptr<nft_ctx, decltype(&nft_ctx_free)> context(nft_ctx_new(NFT_CTX_DEFAULT), nft_ctx_free);
  if (context == nullptr) return std::unexpected("the library gives no context");
  // What it says would go to standard error.
  nft_ctx_buffer_error(context.get());
  nft_ctx_buffer_output(context.get());
  if (nft_run_cmd_from_buffer(context.get(), rules.c_str()) == 0) return {};
  const std::string said = nft_ctx_get_error_buffer(context.get());
  return std::unexpected(said.substr(0, said.find('\n')));
}

bool has_packet_rules() noexcept {
  return true;
}

}  // namespace stile::sys
