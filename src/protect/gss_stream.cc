#include "protect/gss_stream.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::protect {

Result<wire::GssFrame> GssStream::frame() {
  const auto result = wire::decode_gss_frame(input_.view());
  if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) return fail(malformed->reason);
  const auto* const parsed = std::get_if<wire::Parsed<wire::GssFrame>>(&result);
  if (parsed == nullptr) return std::unexpected(Error{ErrorKind::would_block, 0});
  frame_octets_ = parsed->consumed;
  return parsed->value;
}

void GssStream::drop_frame() noexcept {
  input_.take(std::exchange(frame_octets_, 0));
  input_.rest();
}

void GssStream::send(wire::GssMessage message, ConstBytes token) {
  output_.append(wire::encode_gss_header(message, token.size()));
  output_.append(token);
}

// Section 3.3: the abort message has no length. Behind wrapped octets it would be taken for tampering by somebody else.
std::unexpected<Error> GssStream::fail(Reason reason) {
  if (failure_ == Reason::none) {
    failure_ = reason;
    if (!has_sealed_) output_.append(wire::encode_gss_abort());
  }
  return std::unexpected(Error{ErrorKind::protocol, 0});
}

void GssStream::establish(bool encrypt) {
  STILE_ASSERT(context_ != nullptr);
  encrypts_ = encrypt;
  plain_octets_max_ =
      std::min(limits::gss_plain_octets_max, context_->plain_octets_max(encrypts_, limits::gss_token_octets_max));
  established_ = true;
}

void GssStream::establish_without_protection() noexcept {
  context_.reset();
  established_ = true;
}

bool GssStream::holds_input() const noexcept {
  if (given_ < plain_.size()) return true;
  return !std::holds_alternative<wire::NeedMore>(wire::decode_gss_frame(input_.view()));
}

Result<std::size_t> GssStream::open(MutableBytes plain) {
  STILE_ASSERT(established_ && !plain.empty());
  while (given_ == plain_.size()) {
    if (failure_ != Reason::none) return fail(failure_);
    plain_.clear();
    given_ = 0;
    const auto next = frame();
    if (!next) {
      plain_ = {};  // it waits, and holds nothing meanwhile
      return std::unexpected(next.error());
    }
    if (next->message != wire::GssMessage::data) return fail(Reason::gss_order);
    const auto unwrapped = context_->unwrap(next->token, plain_);
    const bool good = unwrapped && unwrapped->order == GssContext::Order::next && unwrapped->confidential >= encrypts_;
    if (!good) {
      plain_.clear();
      return fail(Reason::gss_token);
    }
    drop_frame();
  }
  const std::size_t count = std::min(plain.size(), plain_.size() - given_);
  std::copy_n(plain_.begin() + static_cast<std::ptrdiff_t>(given_), count, plain.begin());
  given_ += count;
  return count;
}

// Its end has no message of its own (section 5): a FIN between two frames is the stream's.
bool GssStream::connection_ended() noexcept {
  if (input_.empty() && failure_ == Reason::none) return true;
  if (failure_ == Reason::none) failure_ = Reason::gss_token;
  return false;
}

Result<std::size_t> GssStream::seal(ConstBytes plain) {
  STILE_ASSERT(established_ && !plain.empty());
  if (failure_ != Reason::none || plain_octets_max_ == 0) return fail(Reason::gss_token);
  const std::size_t count = std::min(plain.size(), plain_octets_max_);
  token_.clear();
  if (!context_->wrap(plain.first(count), encrypts_, token_)) return fail(Reason::gss_token);
  has_sealed_ = true;
  send(wire::GssMessage::data, token_);
  return count;
}

bool GssStream::unwrap_datagram(ConstBytes datagram, std::vector<std::uint8_t>& plain) {
  const auto token = wire::decode_gss_datagram(datagram);
  if (!token) return false;
  const auto unwrapped = context_->unwrap(*token, plain);
  if (!unwrapped || unwrapped->confidential < encrypts_) return false;
  return unwrapped->order != GssContext::Order::duplicate && unwrapped->order != GssContext::Order::old;
}

bool GssStream::wrap_datagram(ConstBytes plain, std::vector<std::uint8_t>& datagram) {
  token_.clear();
  if (!context_->wrap(plain, encrypts_, token_) || token_.size() > limits::gss_token_octets_max) return false;
  const auto header = wire::encode_gss_header(wire::GssMessage::data, token_.size());
  datagram.insert(datagram.end(), header.begin(), header.end());
  datagram.insert(datagram.end(), token_.begin(), token_.end());
  return true;
}

void GssStream::sent(std::size_t octets) noexcept {
  output_.take(octets);
  output_.rest();
  if (output_.empty()) token_ = {};
}

}  // namespace stile::protect
