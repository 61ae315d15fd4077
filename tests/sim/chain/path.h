// How the servers of a simulated chain follow each other: what each speaks with the next, which of them has a stand-in,
// who goes on through two at once. All drawn from a seed. And what must come of a word that one of them says, by the
// time that the client hears it. Values. Tested by what it is for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/prng.h"
#include "route/upstreams.h"
#include "sim/conversation.h"
#include "sim/node.h"

namespace stile::sim_test {

inline constexpr std::size_t chain_length = 5;

/// By what a server is asked.
enum class Spoken : std::uint8_t { socks5h, socks5, socks4a, http };

struct Link {
  Spoken spoken = Spoken::socks5h;
  bool pipelined = false;
  bool announces = false;  // client, user and session

  [[nodiscard]] bool takes_names() const noexcept { return spoken != Spoken::socks5; }
};

class Path {
 public:
  explicit Path(engine::Prng prng);

  /// To the server at that place, counted from 0; not to the first.
  [[nodiscard]] const Link& link_to(std::size_t place) const { return links_[place]; }
  /// It goes through the next server to the one behind that.
  [[nodiscard]] bool leaps(std::size_t place) const noexcept { return place + 2 < chain_length && place == leap_; }
  /// The next one only passes on what is for the one behind it.
  [[nodiscard]] bool is_passed_over(std::size_t place) const noexcept { return place > 0 && leaps(place - 1); }
  /// Who goes through the server at that place, which is not the first.
  [[nodiscard]] std::size_t source_of(std::size_t place) const noexcept {
    return place - (place >= 2 && leaps(place - 2) ? 2 : 1);
  }
  /// From where it is called: by those who go through it, and where one is passed over, by that one for them. They
  /// themselves ask after its health.
  [[nodiscard]] std::vector<Address> callers_of(std::size_t place) const;
  /// The only one that has names to resolve.
  [[nodiscard]] std::size_t resolving_place() const;
  /// The place of the server that has a stand-in; 0: none has.
  [[nodiscard]] std::size_t twin_place() const noexcept { return twin_; }

  [[nodiscard]] static Address address_of(std::size_t place, bool twin);
  [[nodiscard]] static Address address6_of(std::size_t place, bool twin);
  /// Of the server at that place, or of its stand-in.
  [[nodiscard]] Node::Settings settings(std::size_t place, bool twin) const;
  /// `comment` stands in front of the rules, and moves them all.
  [[nodiscard]] std::string rules(std::size_t place, bool comment) const;
  /// To the servers that the one at that place goes through; `astray`: to where nobody answers.
  [[nodiscard]] route::UpstreamPlans upstreams(std::size_t place, bool astray = false) const;
  [[nodiscard]] Between between() const;
  /// What the one that goes through `place` says where that one says `code`.
  [[nodiscard]] std::uint8_t told_through(std::size_t place, std::uint8_t code) const;
  [[nodiscard]] std::string text() const;

 private:
  [[nodiscard]] std::size_t next_of(std::size_t place) const noexcept { return place + (leaps(place) ? 2 : 1); }
  [[nodiscard]] Between::Told told_by(std::size_t place) const;

  std::array<Link, chain_length> links_;
  std::size_t leap_ = chain_length;
  std::size_t twin_ = 0;
  config::Upstream group_;  // how servers that stand in for each other are picked, and looked after
};

}  // namespace stile::sim_test
