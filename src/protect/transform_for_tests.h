// A transform that is easy to see through, for the tests of whatever carries one: messages of a length (two octets) and
// octets turned around. It greets with "hi" before anything else, ends with an empty message, and breaks off at a
// message that is longer than a kilobyte.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "protect/transform.h"

namespace stile::protect {

class PlainToSee final : public Transform {
 public:
  static constexpr std::size_t message_octets_max = 1024;
  static constexpr std::uint8_t turn = 0x5A;

  /// `word_for_end`: it has one, as TLS has; else the connection's end is the stream's.
  explicit PlainToSee(bool word_for_end = true) : word_for_end_(word_for_end) {}

  Result<void> handshake() override {
    if (!std::exchange(greeted_, true)) output_ += "hi";
    if (input_.size() < 2) return std::unexpected(Error{ErrorKind::would_block, 0});
    if (!input_.starts_with("hi")) return std::unexpected(fail(Reason::tls_handshake));
    input_.erase(0, 2);
    established_ = true;
    return {};
  }
  [[nodiscard]] bool established() const noexcept override { return established_; }

  void take(ConstBytes octets) override { input_.append(octets.begin(), octets.end()); }
  [[nodiscard]] bool holds_input() const noexcept override {
    return !opened_.empty() || (input_.size() >= 2 && input_.size() - 2 >= message_octets());
  }
  Result<std::size_t> open(MutableBytes plain) override {
    STILE_ASSERT(established_);
    if (failure_ != Reason::none) return std::unexpected(fail(failure_));
    if (opened_.empty() && !ended_) {
      if (input_.size() >= 2 && message_octets() > message_octets_max) return std::unexpected(fail(Reason::tls_record));
      if (!holds_input()) return std::unexpected(Error{ErrorKind::would_block, 0});
      opened_ = turned(std::string_view(input_).substr(2, message_octets()));
      ended_ = opened_.empty();
      input_.erase(0, 2 + opened_.size());
    }
    const std::size_t count = std::min(plain.size(), opened_.size());
    std::copy_n(opened_.begin(), count, plain.begin());
    opened_.erase(0, count);
    return count;
  }
  bool connection_ended() noexcept override {
    if (!ended_ && word_for_end_) failure_ = Reason::tls_truncated;
    return failure_ == Reason::none;
  }

  Result<std::size_t> seal(ConstBytes plain) override {
    STILE_ASSERT(established_);
    const std::size_t count = std::min(plain.size(), message_octets_max);
    add_message(std::string_view(reinterpret_cast<const char*>(plain.data()), count));
    return count;
  }
  void finish() override {
    if (word_for_end_ && !std::exchange(finished_, true)) add_message({});
  }
  [[nodiscard]] ConstBytes to_send() const noexcept override {
    return {reinterpret_cast<const std::uint8_t*>(output_.data()), output_.size()};
  }
  void sent(std::size_t octets) noexcept override { output_.erase(0, octets); }
  [[nodiscard]] Reason failure() const noexcept override { return failure_; }

 private:
  Error fail(Reason reason) {
    failure_ = reason;
    return {ErrorKind::protocol, 0};
  }
  [[nodiscard]] std::size_t message_octets() const noexcept {
    return static_cast<std::size_t>(static_cast<std::uint8_t>(input_[0]) << 8 | static_cast<std::uint8_t>(input_[1]));
  }
  static std::string turned(std::string_view octets) {
    std::string text(octets);
    for (char& octet : text) octet = static_cast<char>(octet ^ turn);
    return text;
  }
  void add_message(std::string_view plain) {
    output_ += static_cast<char>(plain.size() >> 8);
    output_ += static_cast<char>(plain.size() & 0xFF);
    output_ += turned(plain);
  }

  bool word_for_end_;
  std::string input_;
  std::string opened_;
  std::string output_;
  Reason failure_ = Reason::none;
  bool greeted_ = false;
  bool established_ = false;
  bool ended_ = false;
  bool finished_ = false;
};

}  // namespace stile::protect
