#include "cli/lookup.h"

#include <memory>

#include "base/reason.h"
#include "engine/epoll/epoll_engine.h"
#include "resolve/name_service.h"
#include "sys/errno_table.h"

namespace stile::cli {
namespace {

class NameLookup {
 public:
  NameLookup(engine::EpollEngine& engine, resolve::NameService& names) : engine_(engine), names_(names) {
    lookup_.bind<&NameLookup::on_resolved>(this);
    closed_.bind<&NameLookup::on_closed>(this);
  }

  resolve::Answer run(const HostName& name) {
    names_.resolver().resolve(lookup_, name);
    engine_.run();
    return std::move(answer_);
  }

 private:
  void on_resolved(engine::Status) {
    answer_ = lookup_.answer();
    names_.close(closed_);
  }
  void on_closed(engine::Status) { engine_.stop(); }

  engine::EpollEngine& engine_;
  resolve::NameService& names_;
  resolve::Lookup lookup_;
  engine::Operation closed_;
  resolve::Answer answer_;
};

std::string describe(Reason reason) {
  switch (reason) {
    case Reason::dns_not_found:
      return "there is no such name, or it has no address";
    case Reason::dns_reserved:
      return "it is a reserved name, which DNS is never asked for";
    default:
      return "DNS gave no answer";
  }
}

}  // namespace

std::expected<std::vector<Address>, std::string> look_up(const HostName& name, const resolve::NameSettings& settings) {
  auto engine = engine::EpollEngine::create();
  if (!engine) return std::unexpected(std::string(sys::describe(engine.error())));
  auto names = resolve::NameService::create(**engine, {}, settings);
  if (!names) return std::unexpected(std::string(sys::describe(names.error())));
  resolve::Answer answer = NameLookup(**engine, **names).run(name);
  if (answer.addresses.empty()) return std::unexpected(describe(answer.reason));
  return std::move(answer.addresses);
}

}  // namespace stile::cli
