#include "wire/address_field.h"

#include "base/assert.h"
#include "base/limits.h"

namespace stile::wire {

static_assert(limits::name_octets_max <= 255, "a name's length goes into one octet");

std::optional<Target> AddressField::target() const {
  if (!host) return std::nullopt;
  return Target{.host = *host, .port = port};
}

bool AddressField::is_empty_name() const noexcept {
  return !host && host.error().rejection == HostRejection::empty;
}

Reason reason_of(const HostError& error) noexcept {
  switch (error.rejection) {
    case HostRejection::empty:
    case HostRejection::bad_byte:
    case HostRejection::bad_colon:
      return Reason::request_name;
    case HostRejection::empty_label:
    case HostRejection::label_too_long:
    case HostRejection::name_too_long:
    case HostRejection::leading_hyphen:
    case HostRejection::numeric:
      return Reason::name_impossible;
  }
  assertion_failed("HostRejection in range", __FILE__, __LINE__);
}

std::optional<AddressType> known_address_type(std::uint8_t octet) noexcept {
  switch (const auto type = static_cast<AddressType>(octet)) {
    case AddressType::ipv4:
    case AddressType::name:
    case AddressType::ipv6:
      return type;
  }
  return std::nullopt;
}

std::optional<AddressField> read_address_field(ByteReader& reader, AddressType type) {
  std::size_t octet_count = 0;
  switch (type) {
    case AddressType::ipv4:
      octet_count = 4;
      break;
    case AddressType::name:
      octet_count = reader.u8();
      break;
    case AddressType::ipv6:
      octet_count = 16;
      break;
  }
  const ConstBytes octets = reader.take(octet_count);
  AddressField field;
  field.type = type;
  field.port = reader.u16();
  if (reader.short_of_input()) return std::nullopt;
  switch (type) {
    case AddressType::ipv4:
      field.host = Address::v4(octets.first<4>());
      break;
    case AddressType::name:
      field.received_name.assign(octets.begin(), octets.end());
      field.host = canonical_host(field.received_name);
      break;
    case AddressType::ipv6:
      field.host = Address::v6(octets.first<16>());
      break;
  }
  return field;
}

void write_address_field(ByteWriter& writer, const Target& target) noexcept {
  if (const Address* address = target.address()) {
    writer.u8(static_cast<std::uint8_t>(address->is_v4() ? AddressType::ipv4 : AddressType::ipv6));
    writer.append(address->octets());
  } else {
    const std::string& name = target.host_name()->text();
    writer.u8(static_cast<std::uint8_t>(AddressType::name));
    writer.u8(static_cast<std::uint8_t>(name.size()));
    for (const char c : name) writer.u8(static_cast<std::uint8_t>(c));
  }
  writer.u16(target.port);
}

}  // namespace stile::wire
