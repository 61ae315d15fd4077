// A server at the front of a network (`[gateway]`, `stile gateway`): what its machines send through this host is
// diverted to sockets (gateway_rules.h), and served as if they had asked for it. Connections come to every worker and
// are sessions like any others (server/worker.h, listen_diverted); questions for names (name_server.h), datagrams
// (datagrams.h), echo requests (pings.h) and probes of a trace (traces.h), few beside them, to the first one. Policy
// decides for each, by the source's user. Refuses: to be reached otherwise; datagrams, pings and traces by rules
// without `via`. Threading: as server/front.h says. Tested in tests/e2e/gateway_test.py.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/gateway.h"
#include "netns/rule_keeper.h"
#include "resolve/stand_in_names.h"
#include "server/front.h"
#include "sys/unique_fd.h"

namespace stile::netns {

class Gateway final : public server::Front {
 public:
  explicit Gateway(config::Gateway settings);
  ~Gateway() override;

  [[nodiscard]] std::optional<server::Shortcoming> open(std::size_t workers,
                                                        const std::function<void()>& forget) override;
  [[nodiscard]] std::vector<Endpoint> sockets() const override { return places_; }
  [[nodiscard]] std::vector<std::string> facts() const override;
  void attach(std::size_t worker, const server::FrontCrew& crew) override;
  void finish(std::size_t worker) override;
  [[nodiscard]] std::optional<server::Shortcoming> close() override;

 private:
  class Hosts;
  class Packets;

  /// The sockets of one family; those that its packets come to are not open where connections alone are diverted.
  struct Opened {
    Family family = Family::ipv4;
    Endpoint entrance;
    std::vector<sys::UniqueFd> listeners;  // one a worker
    sys::UniqueFd name_streams;
    sys::UniqueFd names;
    sys::UniqueFd name_answers;
    sys::UniqueFd datagrams;
    sys::UniqueFd datagram_answers;
    sys::UniqueFd echoes;
    sys::UniqueFd echo_replies;
    sys::UniqueFd trace_answers;
  };

  [[nodiscard]] Result<void> open_listeners(Opened& opened, std::size_t workers) const;
  [[nodiscard]] Result<void> open_names(Opened& opened) const;
  [[nodiscard]] static Result<void> open_packets(Opened& opened);
  [[nodiscard]] Result<Opened> open_family(Family family, std::size_t workers) const;

  const config::Gateway settings_;
  resolve::StandInNames names_;
  std::vector<Opened> opened_;  // until the workers have them
  std::vector<Endpoint> places_;
  std::unique_ptr<RuleKeeper> rules_;  // absent: somebody else puts them in force
  std::unique_ptr<Hosts> hosts_;
  std::unique_ptr<Packets> packets_;  // of the first worker
};

}  // namespace stile::netns
