// A security context that is easy to see through, for the tests of whatever carries one. A token is: whether it is
// encrypted, its number (four octets), the octets (turned around where it is encrypted), and their sum (four octets).
// Two of them, one an end, understand each other; what was changed, and what is out of turn, is noticed.
#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <string_view>

#include "protect/gss.h"
#include "protect/gss_stream.h"

namespace stile::protect {

class ContextToSee final : public GssContext {
 public:
  static constexpr std::size_t overhead = 9;

  explicit ContextToSee(bool can_encrypt = true) : can_encrypt_(can_encrypt) {}

  [[nodiscard]] bool can_encrypt() const noexcept override { return can_encrypt_; }

  std::optional<Unwrapped> unwrap(ConstBytes token, std::vector<std::uint8_t>& plain) override {
    if (token.size() < overhead || token[0] > 1) return std::nullopt;
    const std::uint32_t number = number_at(token.subspan(1, 4));
    ConstBytes octets = token.subspan(5, token.size() - overhead);
    if (number_at(token.last(4)) != sum(octets, number)) return std::nullopt;
    for (const std::uint8_t octet : octets) plain.push_back(token[0] == 1 ? octet ^ turn : octet);
    return Unwrapped{.order = order_of(number), .confidential = token[0] == 1};
  }

  bool wrap(ConstBytes plain, bool encrypt, std::vector<std::uint8_t>& token) override {
    if (expired) return false;
    std::vector<std::uint8_t> octets(plain.begin(), plain.end());
    for (std::uint8_t& octet : octets) octet = encrypt ? octet ^ turn : octet;
    token.push_back(encrypt ? 1 : 0);
    append(token, sent_);
    token.insert(token.end(), octets.begin(), octets.end());
    append(token, sum(octets, sent_++));
    return true;
  }

  std::size_t plain_octets_max(bool, std::size_t token_octets) override { return token_octets - overhead; }

  bool expired = false;

 private:
  static constexpr std::uint8_t turn = 0x5A;

  static std::uint32_t number_at(ConstBytes octets) {
    std::uint32_t number = 0;
    for (const std::uint8_t octet : octets) number = number << 8 | octet;
    return number;
  }
  static void append(std::vector<std::uint8_t>& octets, std::uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) octets.push_back(static_cast<std::uint8_t>(number >> shift));
  }
  static std::uint32_t sum(ConstBytes octets, std::uint32_t number) {
    std::uint32_t sum = 2166136261U ^ number;
    for (const std::uint8_t octet : octets) sum = (sum ^ octet) * 16777619U;
    return sum;
  }
  Order order_of(std::uint32_t number) {
    if (!seen_.insert(number).second) return Order::duplicate;
    const Order order = number < next_ ? Order::late : number > next_ ? Order::gap : Order::next;
    next_ = std::max(next_, number + 1);
    return order;
  }

  bool can_encrypt_;
  std::uint32_t sent_ = 0;
  std::uint32_t next_ = 0;
  std::set<std::uint32_t> seen_;
};

/// A stream that stands, with such a context: for what goes by datagrams beside one.
class StreamToSee final : public GssStream {
 public:
  explicit StreamToSee(bool encrypt) {
    auto made = std::make_unique<ContextToSee>();
    made_ = made.get();
    hold(std::move(made));
    establish(encrypt);
  }
  [[nodiscard]] Result<void> handshake() override { return {}; }
  void expire() noexcept { made_->expired = true; }

 private:
  ContextToSee* made_;
};

}  // namespace stile::protect
