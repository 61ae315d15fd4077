/* Connects to one host's ports, all at once and on one thread, and says which take connections.
 *
 *   ./many PROXY-URL HOST PORT... */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/stile.h>

int main(int count, char **words) {
  if (count < 4) return 2;
  struct stile_error error;
  struct stile_settings settings = {sizeof settings, words[1], NULL, 0, NULL, 10000, 0, {0}};
  stile_client *client = stile_open_with(&settings, &error);
  if (client == NULL) {
    fprintf(stderr, "many: %s\n", error.text);
    return 1;
  }
  for (int i = 3; i < count; ++i) {
    stile_operation *one = stile_connect_start(client, words[2], (uint16_t)atoi(words[i]), &error);
    if (one == NULL) {
      fprintf(stderr, "many: %s: %s\n", words[i], error.text);
    } else {
      stile_set_data(one, words[i]);
    }
  }
  struct pollfd ready = {stile_descriptor(client), POLLIN, 0};
  int under_way;
  do {
    under_way = stile_drive(client);
    for (stile_operation *one; (one = stile_next(client)) != NULL;) {
      const char *port = stile_data(one);
      const int fd = stile_connect_finish(one, &error);
      printf("%s: %s\n", port, fd == -1 ? error.text : "open");
      if (fd != -1) close(fd);
    }
    if (under_way > 0) poll(&ready, 1, -1);
  } while (under_way > 0);
  stile_close(client);
  return 0;
}
