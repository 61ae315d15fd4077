/* Everything that stile.h has, once, for tools that look at memory: valgrind, the sanitizers.
 *
 *   exercise PROXY-URL CA-FILE|- TCP-ECHO-PORT UDP-ECHO-PORT CLOSED-PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/stile.h>

static struct stile_error error;

#define CHECK(condition)                                                                                   \
  do {                                                                                                     \
    if (!(condition)) {                                                                                    \
      fprintf(stderr, "line %d: %s: %s %d\n", __LINE__, #condition, error.text, error.reply);              \
      exit(1);                                                                                             \
    }                                                                                                      \
  } while (0)

static void echoes(int fd, size_t octets) {
  char *sent = malloc(octets), *received = malloc(octets);
  memset(sent, 'x', octets);
  CHECK(fd != -1 && send(fd, sent, octets, MSG_NOSIGNAL) == (ssize_t)octets);
  CHECK(shutdown(fd, SHUT_WR) == 0);
  size_t have = 0;
  for (ssize_t n; (n = read(fd, received + have, octets - have)) > 0;) have += (size_t)n;
  CHECK(have == octets && memcmp(sent, received, octets) == 0);
  close(fd);
  free(sent);
  free(received);
}

static void connections(stile_client *client, uint16_t port, uint16_t closed) {
  echoes(stile_connect(client, "localhost", port, &error), 100);
  echoes(stile_connect(client, "127.0.0.1", port, NULL), 50000);
  CHECK(stile_connect(client, "127.0.0.1", closed, &error) == -1 && error.code == STILE_ERROR_REFUSED);
  CHECK(error.reply == 5 && errno == ECONNREFUSED);
  CHECK(stile_connect(client, "no host", closed, &error) == -1 && error.code == STILE_ERROR_ARGUMENT);
  CHECK(stile_connect(client, NULL, closed, NULL) == -1);
}

static void listening(stile_client *client) {
  struct sockaddr_in place, peer;
  socklen_t length = sizeof place;
  stile_listener *listener = stile_listen(client, "127.0.0.1", 0, &error);
  CHECK(listener != NULL && stile_listener_address(listener, (struct sockaddr *)&place, &length) == 0);
  CHECK(stile_accept(listener, 1, NULL, NULL, &error) == -1 && error.code == STILE_ERROR_TIMEOUT);
  const int far = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(far, (struct sockaddr *)&place, sizeof place) == 0);
  length = sizeof peer;
  const int near = stile_accept(listener, -1, (struct sockaddr *)&peer, &length, &error);
  CHECK(near != -1 && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  char octet = 'x';
  CHECK(write(far, &octet, 1) == 1 && read(near, &octet, 1) == 1);
  close(far);
  close(near);
  stile_listener_close(listener);
  listener = stile_listen(client, "0.0.0.0", 0, &error);
  CHECK(listener != NULL && stile_accept_start(listener, -1, &error) != NULL); /* both end with the client */
}

static void datagrams(stile_client *client, uint16_t port) {
  char octets[64];
  struct sockaddr_in from;
  socklen_t length = sizeof from;
  stile_udp *udp = stile_udp_open(client, &error);
  CHECK(udp != NULL && stile_udp_send(udp, "datagram", 8, "127.0.0.1", port, &error) == 8);
  CHECK(stile_udp_receive(udp, octets, sizeof octets, 20000, (struct sockaddr *)&from, &length, &error) == 8);
  CHECK(memcmp(octets, "datagram", 8) == 0 && ntohs(from.sin_port) == port);
  CHECK(stile_udp_receive(udp, octets, sizeof octets, 1, NULL, NULL, &error) == -1);
  CHECK(error.code == STILE_ERROR_TIMEOUT);
  stile_udp_close(udp);
}

static void names_and_pings(stile_client *client) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  char name[256];
  struct stile_echo echo;
  CHECK(stile_resolve(client, "localhost", (struct sockaddr *)&address, &length, &error) == 0);
  CHECK(stile_resolve_address(client, (struct sockaddr *)&address, length, name, &error) == 0);
  CHECK(stile_ping(client, "127.0.0.1", 1, &echo, &error) == 1 && echo.ttl > 0);
}

static void without_waiting(stile_client *client, uint16_t port, uint16_t closed) {
  enum { count = 20 };
  stile_operation *all[count];
  for (int i = 0; i < count; ++i) {
    all[i] = stile_connect_start(client, "127.0.0.1", i % 5 == 0 ? closed : port, &error);
    CHECK(all[i] != NULL);
    stile_set_data(all[i], &all[i]);
  }
  stile_cancel(all[1]);
  struct pollfd ready = {stile_descriptor(client), POLLIN, 0};
  int told = 0;
  while (told < count - 1) {
    CHECK(poll(&ready, 1, 20000) == 1 && stile_drive(client) > 0); /* the accept goes on */
    for (stile_operation *one; (one = stile_next(client)) != NULL; ++told) CHECK(*(stile_operation **)stile_data(one) == one);
  }
  for (int i = 0; i < count; ++i) {
    if (i == 1) continue;
    CHECK(stile_done(all[i]));
    const int fd = stile_connect_finish(all[i], &error);
    CHECK((fd == -1) == (i % 5 == 0));
    if (fd != -1) echoes(fd, 10);
  }
  CHECK(stile_connect_start(client, "127.0.0.1", port, &error) != NULL); /* ends with the client */
}

static void *in_a_thread(void *settings) {
  stile_client *client = stile_open_with(settings, NULL);
  stile_client *copy = stile_copy(client, NULL);
  stile_close(client);
  return copy;
}

int main(int count, char **words) {
  CHECK(count == 6);
  const uint16_t tcp = (uint16_t)atoi(words[3]), udp = (uint16_t)atoi(words[4]), closed = (uint16_t)atoi(words[5]);
  struct stile_proxy proxy = {sizeof proxy, words[1], NULL, strcmp(words[2], "-") == 0 ? NULL : words[2], NULL, NULL, NULL, 0, {0}};
  struct stile_settings settings = {sizeof settings, NULL, &proxy, 1, NULL, 60000, 0, {0}};
  struct sigaction pipe;
  stile_client *client = stile_open_with(&settings, &error);
  CHECK(client != NULL && error.code == STILE_OK);
  connections(client, tcp, closed);
  listening(client);
  datagrams(client, udp);
  names_and_pings(client);
  without_waiting(client, tcp, closed);
  const int left_open = stile_connect(client, "127.0.0.1", tcp, &error);
  stile_close(client);
  echoes(left_open, 1000);
  pthread_t thread;
  void *from_elsewhere = NULL;
  CHECK(pthread_create(&thread, NULL, in_a_thread, &settings) == 0 && pthread_join(thread, &from_elsewhere) == 0);
  CHECK(from_elsewhere != NULL);
  echoes(stile_connect(from_elsewhere, "127.0.0.1", tcp, &error), 100);
  stile_close(from_elsewhere);
  CHECK(stile_open("socks6://x", &error) == NULL && error.code == STILE_ERROR_SETTINGS);
  CHECK(sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL);
  puts("all of it");
  return 0;
}
