// How a running server is: what the control socket's thread asks the workers for, and what they have to tell.
#include <memory>
#include <utility>

#include "base/limits.h"
#include "server/figures.h"
#include "server/gathering.h"
#include "server/server.h"

namespace stile::server {
namespace {

// Who asks at the control socket behind one whom a stuck worker keeps waiting is still answered.
constexpr Duration workers_wait = limits::admin_wait / 2;

}  // namespace

Refusal shutting_down() {
  return {.bad_configuration = false, .messages = {"the server is shutting down"}};
}

// What `ask` makes of each crew, on its worker's thread, of those that are in time.
template <class Answer, class Ask>
std::expected<Asked<Answer>, Refusal> Server::ask_workers(Ask ask) {
  const auto gathering = std::make_shared<Gathering<Answer>>();
  Asked<Answer> asked;
  {
    const std::scoped_lock lock(requests_mutex_);  // the crews stay as long as requests are taken
    if (!takes_requests_) return std::unexpected(shutting_down());
    asked.workers = crews_.size();
    for (const auto& crew : crews_) {
      crew->worker->perform([gathering, ask, crew = crew.get()] { gathering->add(ask(*crew)); });
    }
  }
  asked.answers = gathering->wait(asked.workers, workers_wait);
  return asked;
}

std::expected<UpstreamReport, Refusal> Server::upstreams() {
  const auto asked =
      ask_workers<std::vector<route::ServerFigures>>([](const Crew& crew) { return crew.worker->upstream_figures(); });
  if (!asked) return std::unexpected(asked.error());
  return report_upstreams(asked->workers, asked->answers);
}

std::expected<CounterReport, Refusal> Server::counters() {
  const auto asked =
      ask_workers<std::vector<resolve::NameService::Figures>>([](const Crew& crew) { return crew.names->figures(); });
  if (!asked) return std::unexpected(asked.error());
  std::vector<const observe::Counters*> counters;
  const std::scoped_lock lock(requests_mutex_);
  if (!takes_requests_) return std::unexpected(shutting_down());
  for (const auto& crew : crews_) counters.push_back(&crew->counters);
  return report_counters(asked->workers, observe::sum(counters), asked->answers);
}

// What workers have noticed is written here: they must not wait for who reads standard error.
void Server::tell_news() {
  for (const UpstreamNews::Line& line : news_->take()) {
    if (line.why.empty()) {
      diagnostics_.notice(line.what);
    } else {
      diagnostics_.warning(line.what, line.why);
    }
  }
}

}  // namespace stile::server
