#include "resolve/name_answers.h"

#include <variant>

#include "resolve/reverse_name.h"
#include "wire/dns_query.h"

namespace stile::resolve {
namespace {

using wire::DnsStatus;

/// RFC 9460: services that a name may have beside its addresses. That there are none is the truth for who asks here.
bool is_service(std::uint16_t type) noexcept {
  return type == wire::dns_type_https || type == wire::dns_type_svcb;
}

std::optional<HostName> host_name(std::string_view text) {
  auto host = canonical_host(text);
  if (!host || !std::holds_alternative<HostName>(*host)) return std::nullopt;
  return std::get<HostName>(*std::move(host));
}

}  // namespace

NameAnswers::NameAnswers(StandInNames& names, const std::string& own_name)
    : names_(names), own_name_(host_name(own_name)) {}

bool NameAnswers::is_own(const HostName& name) const {
  return name.is_or_below("localhost") || name == own_name_;
}

std::vector<std::uint8_t> NameAnswers::answer(ConstBytes message) {
  const auto result = wire::decode_dns_query(message);
  const auto* const parsed = std::get_if<wire::Parsed<wire::DnsQuery>>(&result);
  if (parsed == nullptr || parsed->value.is_answer) return {};
  const wire::DnsQuery& query = parsed->value;
  if (query.opcode != 0) return wire::encode_dns_answer(query, DnsStatus::not_implemented);
  if (!query.question) return wire::encode_dns_answer(query, DnsStatus::format_error);
  const wire::DnsQuestion& question = *query.question;
  const bool v4 = question.type == wire::dns_type_a;
  const bool v6 = question.type == wire::dns_type_aaaa;
  const bool pointer = question.type == wire::dns_type_ptr;
  if (question.qclass != wire::dns_class_in || (!v4 && !v6 && !pointer && !is_service(question.type))) {
    return wire::encode_dns_answer(query, DnsStatus::not_implemented);
  }
  const auto name = host_name(question.name);
  if (!name) return wire::encode_dns_answer(query, DnsStatus::name_error);
  std::vector<wire::DnsRecord> records;
  if (pointer) {
    const auto address = address_of_reverse_name(*name);
    const auto meant = address ? names_.name_of(*address) : std::nullopt;
    if (!meant) return wire::encode_dns_answer(query, DnsStatus::name_error);
    records.emplace_back(*meant);
  } else if ((v4 || v6) && is_own(*name)) {
    records.emplace_back(v4 ? Address::v4(127, 0, 0, 1) : *Address::parse("::1"));
  } else if (v4 || v6) {
    const auto addresses = names_.stand_ins_of(*name);
    if (!addresses) return wire::encode_dns_answer(query, DnsStatus::server_failure);
    records.emplace_back(v4 ? addresses->v4 : addresses->v6);
  }
  return wire::encode_dns_answer(query, DnsStatus::no_error, records, limits::stand_in_ttl_seconds);
}

}  // namespace stile::resolve
