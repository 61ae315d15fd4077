#include "resolve/dns_message.h"

#include <algorithm>
#include <cstdint>

#include "base/limits.h"

namespace stile::resolve {
namespace {

using std::chrono::seconds;

constexpr std::uint16_t type_soa = 6;  // RFC 1035 section 3.2.2
constexpr std::uint16_t type_ptr = 12;
constexpr std::uint8_t pointer_bits = 0xC0;  // RFC 1035 section 4.1.4

std::uint32_t u32(ByteReader& reader) noexcept {
  const std::uint32_t high = reader.u16();
  return high << 16 | reader.u16();
}

/// RFC 2181 section 8: a TTL with the top bit set counts as zero.
seconds ttl_from(std::uint32_t field) noexcept {
  return seconds((field >> 31) != 0 ? 0 : field);
}

/// Skips a name: labels up to the root or to a pointer, which ends it. Pointers are never followed.
void skip_name(ByteReader& reader) noexcept {
  while (!reader.short_of_input()) {
    const std::uint8_t length = reader.u8();
    if (length == 0) return;
    if ((length & pointer_bits) != 0) {
      (void)reader.u8();
      return;
    }
    (void)reader.take(length);
  }
}

struct Record {
  std::uint16_t type = 0;
  seconds ttl{0};
  ConstBytes data;
};

Record read_record(ByteReader& reader) noexcept {
  skip_name(reader);
  Record record;
  record.type = reader.u16();
  (void)reader.u16();  // class
  record.ttl = ttl_from(u32(reader));
  record.data = reader.take(reader.u16());
  return record;
}

/// The last field of the record, RFC 1035 section 3.3.13.
seconds soa_minimum(ConstBytes data) noexcept {
  ByteReader reader(data);
  skip_name(reader);                              // MNAME
  skip_name(reader);                              // RNAME
  for (int i = 0; i < 4; ++i) (void)u32(reader);  // SERIAL, REFRESH, RETRY, EXPIRE
  const seconds minimum = ttl_from(u32(reader));
  return reader.short_of_input() ? seconds(0) : minimum;
}

struct Counts {
  std::uint16_t answers = 0;
  std::uint16_t authorities = 0;
};

/// Reads up to the answer section: RFC 1035 sections 4.1.1 and 4.1.2.
Counts read_header_and_questions(ByteReader& reader) noexcept {
  (void)u32(reader);  // id, flags
  const std::uint16_t questions = reader.u16();
  Counts counts;
  counts.answers = reader.u16();
  counts.authorities = reader.u16();
  (void)reader.u16();  // additional records
  for (int i = 0; i < questions && !reader.short_of_input(); ++i) {
    skip_name(reader);
    (void)u32(reader);  // type, class
  }
  return counts;
}

}  // namespace

seconds negative_ttl(ConstBytes message) noexcept {
  ByteReader reader(message);
  const Counts counts = read_header_and_questions(reader);
  for (int i = 0; i < counts.answers && !reader.short_of_input(); ++i) (void)read_record(reader);
  for (int i = 0; i < counts.authorities; ++i) {
    const Record record = read_record(reader);
    if (reader.short_of_input()) return seconds(0);
    if (record.type == type_soa) return std::min(record.ttl, soa_minimum(record.data));
  }
  return seconds(0);
}

std::optional<PointerRecords> pointer_records(ConstBytes message) {
  ByteReader reader(message);
  const Counts counts = read_header_and_questions(reader);
  PointerRecords records;
  seconds smallest = seconds::max();
  for (int i = 0; i < counts.answers; ++i) {
    const Record record = read_record(reader);
    if (reader.short_of_input()) return std::nullopt;
    smallest = std::min(smallest, record.ttl);
    if (record.type == type_ptr && !record.data.empty() && records.names.size() < limits::candidates_max) {
      records.names.push_back(record.data);
    }
  }
  if (reader.short_of_input()) return std::nullopt;
  if (counts.answers > 0) records.ttl = smallest;
  return records;
}

}  // namespace stile::resolve
