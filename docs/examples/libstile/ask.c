/* Sends each line of standard input as one datagram through a proxy, and writes what comes back.
 *
 *   ./ask PROXY-URL HOST PORT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/stile.h>

int main(int count, char **words) {
  if (count != 4) return 2;
  struct stile_error error;
  stile_client *client = stile_open(words[1], &error);
  stile_udp *udp = client == NULL ? NULL : stile_udp_open(client, &error);
  if (udp == NULL) {
    fprintf(stderr, "ask: %s\n", error.text);
    stile_close(client);
    return 1;
  }
  char line[1024], answer[1024];
  int result = 0;
  while (result == 0 && fgets(line, sizeof line, stdin) != NULL) {
    ssize_t received = stile_udp_send(udp, line, strlen(line), words[2], (uint16_t)atoi(words[3]), &error);
    if (received != -1) received = stile_udp_receive(udp, answer, sizeof answer, 5000, NULL, NULL, &error);
    if (received == -1) fprintf(stderr, "ask: %s\n", error.text);
    result = received == -1 ? 1 : 0;
    if (received > 0) fwrite(answer, 1, (size_t)received, stdout);
  }
  stile_udp_close(udp);
  stile_close(client);
  return result;
}
