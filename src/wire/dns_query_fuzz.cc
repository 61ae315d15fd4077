// The DNS query's decoder on arbitrary octets: its verdict comes at one octet, whatever follows, and every answer that
// is made of what it read can be read as that question's, and fits a datagram.
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"
#include "wire/dns_query.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  if (size > dns_query_octets_max + 16) return 0;
  const stile::ConstBytes input(data, size);
  assert_one_verdict<DnsQuery>(decode_dns_query, input);
  const auto result = decode_dns_query(input);
  STILE_ASSERT(!std::holds_alternative<Malformed>(result));
  const auto* const parsed = std::get_if<Parsed<DnsQuery>>(&result);
  if (parsed == nullptr || parsed->value.is_answer) return 0;
  const DnsQuery& query = parsed->value;
  std::vector<DnsRecord> records;
  if (query.question) {
    records.assign(size % 40, stile::Address::v4(198, 18, 1, 1));
    if (const auto host = stile::canonical_host(query.question->name)) {
      if (const auto* const name = std::get_if<stile::HostName>(&*host)) records.emplace_back(*name);
    }
  }
  const auto answer = encode_dns_answer(query, DnsStatus::no_error, records, 60);
  STILE_ASSERT(answer.size() <= dns_datagram_octets_max);
  std::vector<std::uint8_t> asked = answer;
  asked[2] &= 0x7F;  // QR
  const auto again = decode_dns_query(asked);
  const auto* const read = std::get_if<Parsed<DnsQuery>>(&again);
  STILE_ASSERT(read != nullptr && read->value == query);
  return 0;
}
