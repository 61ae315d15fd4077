// Reads the golden vectors in tests/vectors (their format is described at the top of socks5.txt). For tests only: it
// reads files and throws nothing; what is wrong with a vector file fails the running test.
// Threading: none shared. Tested by its use: a suite without a vector fails.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace stile::wire::testing {

struct Vector {
  std::string id;         // "Q15"
  std::string direction;  // "C>S"
  std::vector<std::uint8_t> octets;
  std::string verdict;   // "parsed 10", "malformed 4 address_type.unknown", "need more" or "-"
  std::string name;      // what the message is
  std::string expected;  // what the whole server does, for people and for the session's tests
};

inline bool append_octets(std::string_view token, std::vector<std::uint8_t>& octets) {
  const std::size_t star = token.find('*');
  const std::string_view digits = token.substr(0, star);
  std::uint8_t octet = 0;
  const auto hex = std::from_chars(digits.begin(), digits.end(), octet, 16);
  if (digits.size() != 2 || hex.ec != std::errc{} || hex.ptr != digits.end()) return false;
  std::size_t count = 1;
  if (star != std::string_view::npos) {
    const std::string_view repeats = token.substr(star + 1);
    const auto decimal = std::from_chars(repeats.begin(), repeats.end(), count);
    if (decimal.ec != std::errc{} || decimal.ptr != repeats.end()) return false;
  }
  octets.insert(octets.end(), count, octet);
  return true;
}

/// "05 FF 80*254 00" as octets.
inline std::vector<std::uint8_t> octets_of(std::string_view text) {
  std::vector<std::uint8_t> octets;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    if (!append_octets(text.substr(0, space), octets)) ADD_FAILURE() << "not octets: " << text;
    if (space == std::string_view::npos) break;
    text.remove_prefix(space + 1);
  }
  return octets;
}

/// All vectors of one file, in its order.
inline std::vector<Vector> read_vectors(const std::string& path) {
  std::vector<Vector> vectors;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::array<std::string, 6> columns;
    std::string_view rest = line;
    for (std::string& column : columns) {
      const std::size_t bar = rest.find(" | ");
      column = rest.substr(0, bar);
      rest = bar == std::string_view::npos ? std::string_view() : rest.substr(bar + 3);
    }
    if (columns.back().empty() || !rest.empty()) ADD_FAILURE() << path << ": not six columns: " << line;
    vectors.push_back({.id = columns[0],
                       .direction = columns[1],
                       .octets = octets_of(columns[2]),
                       .verdict = columns[3],
                       .name = columns[4],
                       .expected = columns[5]});
  }
  if (vectors.empty()) ADD_FAILURE() << path << " holds no vectors";
  return vectors;
}

/// Those whose id starts with `letter`.
inline std::vector<Vector> read_vectors(const std::string& path, char letter) {
  std::vector<Vector> vectors = read_vectors(path);
  std::erase_if(vectors, [letter](const Vector& vector) { return vector.id.front() != letter; });
  if (vectors.empty()) ADD_FAILURE() << path << " holds no vectors " << letter;
  return vectors;
}

/// The octets of the vector `id`, e.g. "Q15".
inline std::vector<std::uint8_t> vector_octets(const std::string& path, std::string_view id) {
  for (const Vector& vector : read_vectors(path)) {
    if (vector.id == id) return vector.octets;
  }
  ADD_FAILURE() << path << " holds no vector " << id;
  return {};
}

}  // namespace stile::wire::testing
