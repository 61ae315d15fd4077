/* Fetches http://HOST/ through the proxies that the environment names (ALL_PROXY, NO_PROXY), to standard output.
 *
 *   cc fetch.c $(pkg-config --cflags --libs stile) -o fetch && ALL_PROXY=socks5h://127.0.0.1:1080 ./fetch HOST [PORT] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stile/stile.h>

int main(int count, char **words) {
  if (count < 2) return 2;
  const char *host = words[1];
  const int port = count > 2 ? atoi(words[2]) : 80;
  struct stile_error error;
  stile_client *client = stile_open(NULL, &error);
  if (client == NULL) {
    fprintf(stderr, "fetch: %s\n", error.text);
    return 1;
  }
  const int fd = stile_connect(client, host, (uint16_t)port, &error);
  if (fd == -1) {
    fprintf(stderr, "fetch: %s: %s (%s, reply %d)\n", host, error.text, stile_code_name(error.code), error.reply);
    stile_close(client);
    return 1;
  }
  stile_close(client); /* the connection goes on without it */
  char request[512];
  const int octets = snprintf(request, sizeof request, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host);
  if (send(fd, request, (size_t)octets, MSG_NOSIGNAL) != octets) return 1;
  char answer[4096];
  ssize_t received;
  while ((received = read(fd, answer, sizeof answer)) > 0) fwrite(answer, 1, (size_t)received, stdout);
  close(fd);
  return received == 0 ? 0 : 1;
}
