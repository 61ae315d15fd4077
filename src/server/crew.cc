#include "server/crew.h"

#include <utility>

namespace stile::server {

void Crew::run() {
  worker->run();
  if (finish_front != nullptr) finish_front();
  if (name_server != nullptr) finish_name_server();
  engine::Operation names_closed;
  names_closed.bind<&Crew::on_names_closed>(this);
  names->close(names_closed);
  engine->run();
}

// What is under way is given up.
void Crew::finish_name_server() {
  dns_answers->stop();
  name_server->stop();
  while (!dns_answers->quiet()) engine->run();
}

void Crew::listen(const Bound& bound, const Admission& admission, sys::UniqueFd descriptor) {
  engine::Socket socket;
  engine->take(socket, std::move(descriptor), engine::EpollEngine::Role::listener);
  if (bound.listener.is_unix()) return worker->listen_local(socket, bound.where(), admission);
  worker->listen_at(socket, bound.endpoint, admission);
}

}  // namespace stile::server
