// A whole server in this process: what its main thread owns, from the start to the end. Its members are defined by
// office: serve.cc starts, supervises and ends it, reload.cc puts another configuration in force, looking.cc says how
// it is. The main thread's, but for what Control has. Tested in tests/e2e.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/helper.h"
#include "auth/helper_verifier.h"
#include "auth/pool_verifier.h"
#include "observe/accounting.h"
#include "observe/diagnostics.h"
#include "observe/record_sink.h"
#include "policy/policy.h"
#include "protect/ticket_keeper.h"
#include "relay/live_sockets.h"
#include "server/control.h"
#include "server/crew.h"
#include "server/enclosure.h"
#include "server/heartbeat.h"
#include "server/listening.h"
#include "server/serve.h"
#include "server/upstream_news.h"
#include "server/worker.h"
#include "sys/file_keeper.h"
#include "sys/main_loop.h"
#include "sys/own_addresses.h"
#include "sys/service_manager.h"

namespace stile::server {

/// What the main thread is asked by others.
struct ReloadRequest {
  bool answered = false;
  std::expected<Reloaded, Refusal> answer;
};

/// What the workers were asked by others.
template <class Answer>
struct Asked {
  std::size_t workers = 0;
  std::vector<Answer> answers;  // of those that were in time
};

/// To whoever asks too late.
[[nodiscard]] Refusal shutting_down();

/// What a reload does to listeners, each prepared before anything changes.
struct ListenerChanges {
  std::vector<OpenedListener> added;
  std::vector<Bound> kept;  // as configured anew
  std::vector<Bound> removed;
};

/// Of one place where DNS is answered.
struct DnsSockets {
  sys::UniqueFd datagrams;
  sys::UniqueFd streams;
};

class Server final : public Control {
 public:
  Server(Configuration configuration, LoadConfiguration load, Front* front);
  /// As serve() of serve.h.
  int run(const Attend& attend);
  // From any thread but the main one, which answers the first, and the workers', which answer the others.
  [[nodiscard]] std::expected<Reloaded, Refusal> reload() override;
  [[nodiscard]] std::expected<UpstreamReport, Refusal> upstreams() override;
  [[nodiscard]] std::expected<CounterReport, Refusal> counters() override;

 private:
  // serve.cc
  bool prepare();
  bool meet_manager();
  bool start_helper();
  bool fork_helper();
  [[nodiscard]] bool helper_is_a_unit() const noexcept { return !config_.helper.socket.empty(); }
  bool start_file_keeper();
  bool build_engines();
  bool open_listeners();
  bool open_dns();
  bool open_front();
  bool enclose();
  bool keep_records();
  bool open_helper_office();
  bool open_accounting();
  void remember_quotas();
  bool recruit();
  void listen();
  void serve_dns();
  void attach_front();
  void tell_listeners();
  void hand_over(OpenedListener& opened);
  void forget_secrets();
  [[nodiscard]] bool enclose_worker();
  void banner();
  void work();
  void supervise();
  void beat();
  [[nodiscard]] std::string serving() const;
  int farewell();
  void end_helper();
  void refresh_own_addresses();
  void warn_of_egress(std::string mark_cure);
  void on_signal(int signal);
  [[nodiscard]] std::shared_ptr<const Common> common() const;

  // tickets.cc
  bool start_ticket_keeper();
  void want_tickets();
  void hear_tickets();
  void tell_of_tickets(const std::vector<protect::TicketNews>& all);

  // reload.cc
  void answer_requests();
  void on_hangup();
  [[nodiscard]] std::expected<Reloaded, Refusal> reload_now();
  [[nodiscard]] std::expected<Reloaded, Refusal> try_reload();
  [[nodiscard]] std::optional<std::string> helper_lacks(const config::Config& next) const;
  [[nodiscard]] std::expected<ListenerChanges, Refusal> prepare_listeners(const config::Config& next) const;
  [[nodiscard]] std::vector<std::string> fixed_until_restart(const config::Config& next) const;
  Worker::Enforced put_in_force(ListenerChanges changes);

  // looking.cc
  template <class Answer, class Ask>
  [[nodiscard]] std::expected<Asked<Answer>, Refusal> ask_workers(Ask ask);
  void tell_news();

  config::Config config_;
  std::shared_ptr<const auth::Users> users_;
  TlsServers tls_;
  route::UpstreamPlans upstreams_;
  std::shared_ptr<auth::Penalties> penalties_ = std::make_shared<auth::Penalties>();
  std::unique_ptr<auth::LoginOffice> office_;  // outlives the crews' verifiers
  std::vector<std::string> files_;             // from which the configuration was read
  LoadConfiguration load_;
  Front* front_;  // nullptr: none
  std::optional<sys::ServiceManager> manager_;
  std::optional<Heartbeat> heartbeat_;  // where the manager asks for it
  std::optional<Enclosure> enclosure_;
  std::string enclosed_;                                  // in a line
  std::unique_ptr<sys::FileKeeper> file_keeper_;          // absent: no sandbox
  std::unique_ptr<protect::TicketKeeper> ticket_keeper_;  // absent: no upstream takes tickets
  std::uint64_t generation_ = 0;
  observe::Diagnostics diagnostics_;
  bool by_ticket_ = false;                     // GSSAPI and the helper's part in it were made ready at the start
  std::optional<auth::StartedHelper> helper_;  // absent: no listener needs one, or it is a unit
  std::unique_ptr<auth::HelperOffice>
      helper_office_;  // absent: no listener needs one; holds the helper's socket, tells diagnostics_
  std::unique_ptr<observe::RecordSink> sink_;
  std::unique_ptr<observe::Accounting> accounting_;  // absent: no accounts are kept
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<const auth::DigestKey> digest_key_;  // until office_ has it
  std::vector<std::unique_ptr<Crew>> crews_;
  std::vector<OpenedListener> opened_;  // until the crews have them
  std::vector<Bound> listening_;
  std::vector<DnsSockets> dns_sockets_;  // until the first crew has them
  std::shared_ptr<const policy::Policy> loopback_preset_ =
      std::make_shared<const policy::Policy>(policy::Policy::loopback_preset());
  std::shared_ptr<const policy::Policy> deny_all_ = std::make_shared<const policy::Policy>(policy::Policy::deny_all());
  std::shared_ptr<relay::LiveSockets> live_sockets_ = std::make_shared<relay::LiveSockets>();
  std::shared_ptr<ProbeGate> probe_gate_ = std::make_shared<ProbeGate>();
  std::shared_ptr<Usage> usage_;
  std::shared_ptr<UpstreamNews> news_;
  SpentSince spent_since_;  // absent: no accounts are kept
  std::vector<Cidr> own_addresses_;
  std::optional<sys::SignalQueue> signals_;
  std::optional<sys::OwnAddressMonitor> own_monitor_;
  std::optional<sys::Notification> worker_ended_;
  std::optional<sys::Notification> asked_;
  std::mutex requests_mutex_;
  std::condition_variable request_answered_;
  std::vector<ReloadRequest*> requests_;  // under requests_mutex_, as what they point to
  bool takes_requests_ = true;            // under requests_mutex_
  std::atomic<std::size_t> crews_ended_{0};
  std::atomic<bool> not_enclosed_{false};  // a worker could not give up what it should
  int signals_seen_ = 0;
  Duration next_beat_{};  // as of sys::monotonic_now()
};

/// What a listener admits, of this configuration and its certificates.
[[nodiscard]] Admission admission_of(const config::Config& config, const TlsServers& tls,
                                     const config::Listener& listener);

}  // namespace stile::server
