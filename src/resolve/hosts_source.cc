#include "resolve/hosts_source.h"

#include "base/limits.h"

namespace stile::resolve {
namespace {

using namespace std::chrono_literals;

constexpr auto check_interval = 1s;

}  // namespace

const HostsTable& HostsSource::current(Instant now) {
  if (path_.empty() || (checked_ && now - *checked_ < check_interval)) return table_;
  checked_ = now;
  const auto stamp = sys::file_stamp(path_);
  if (!stamp) {
    table_ = {};
    stamp_.reset();
    error_.reset();
    if (stamp.error().kind != ErrorKind::not_found) error_ = stamp.error();
  } else if (stamp_ != *stamp) {
    stamp_ = *stamp;
    read();
  }
  return table_;
}

void HostsSource::read() {
  const auto text = read_file_(path_, limits::hosts_file_octets_max);
  error_.reset();
  if (!text) error_ = text.error();
  table_ = text ? HostsTable::parse(*text) : HostsTable{};
}

}  // namespace stile::resolve
