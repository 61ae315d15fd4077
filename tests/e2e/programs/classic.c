/* A program as they were written to the classic interface, and knows nothing of Stile: it asks a host by TCP, takes one
 * connection back, as FTP does, and asks by UDP.
 *
 *   classic HOST TCP-PORT UDP-PORT */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <socks.h>

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
wait_for(int fd)
{
	fd_set fds;
	struct timeval patience;

	FD_ZERO(&fds);
	FD_SET(fd, &fds);
	patience.tv_sec = 20;
	patience.tv_usec = 0;
	if (select(fd + 1, &fds, NULL, NULL, &patience) != 1)
		fail("select");
}

static void
data_connection(int control)
{
	struct sockaddr_in sin;
	socklen_t length = sizeof(sin);
	char line[128], octets[256];
	int listener, data;
	ssize_t n;

	if ((listener = socket(AF_INET, SOCK_STREAM, 0)) < 0)
		fail("socket");
	bzero(&sin, sizeof(sin));
	sin.sin_family = AF_INET;
	if (bind(listener, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		fail("bind");
	if (getsockname(listener, (struct sockaddr *)&sin, &length) < 0)
		fail("getsockname");
	if (listen(listener, 1) < 0)
		fail("listen");
	snprintf(line, sizeof(line), "PORT %s %d\r\n", inet_ntoa(sin.sin_addr), ntohs(sin.sin_port));
	if (write(control, line, strlen(line)) != (ssize_t)strlen(line))
		fail("write");
	wait_for(listener);
	length = sizeof(sin);
	if ((data = accept(listener, (struct sockaddr *)&sin, &length)) < 0)
		fail("accept");
	printf("from %s\n", inet_ntoa(sin.sin_addr));
	while ((n = read(data, octets, sizeof(octets))) > 0)
		fwrite(octets, 1, n, stdout);
	close(data);
	close(listener);
}

static void
datagrams(struct sockaddr_in to)
{
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	char octets[256];
	ssize_t n;
	int fd;

	if ((fd = socket(AF_INET, SOCK_DGRAM, 0)) < 0)
		fail("socket");
	if (sendto(fd, "by udp", 6, 0, (struct sockaddr *)&to, sizeof(to)) != 6)
		fail("sendto");
	wait_for(fd);
	if ((n = recvfrom(fd, octets, sizeof(octets), 0, (struct sockaddr *)&from, &length)) < 0)
		fail("recvfrom");
	printf("%.*s from %s %d\n", (int)n, octets, inet_ntoa(from.sin_addr), ntohs(from.sin_port));
	if (recvfrom(fd, octets, sizeof(octets), MSG_DONTWAIT, NULL, NULL) != -1 || errno != EAGAIN)
		fail("recvfrom without waiting");
	close(fd);
}

int
main(int argc, char *argv[])
{
	struct sockaddr_in sin, peer;
	socklen_t length = sizeof(peer);
	struct hostent *hp;
	char octets[256];
	ssize_t n;
	int s;

	if (argc != 4)
		return 2;
	if (SOCKSinit(argv[0]) < 0)
		fail("SOCKSinit");
	if ((hp = gethostbyname(argv[1])) == NULL) {
		fprintf(stderr, "%s: unknown host\n", argv[1]);
		return 1;
	}
	bzero(&sin, sizeof(sin));
	sin.sin_family = hp->h_addrtype;
	bcopy(hp->h_addr_list[0], &sin.sin_addr, hp->h_length);
	sin.sin_port = htons(atoi(argv[2]));
	if ((s = socket(AF_INET, SOCK_STREAM, 0)) < 0)
		fail("socket");
	if (connect(s, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		fail("connect");
	if (getpeername(s, (struct sockaddr *)&peer, &length) < 0 ||
	    peer.sin_port != sin.sin_port || peer.sin_addr.s_addr != sin.sin_addr.s_addr)
		fail("getpeername");
	if (connect(s, (struct sockaddr *)&sin, sizeof(sin)) == 0 || errno != EISCONN)
		fail("a second connect");
	data_connection(s);
	if ((n = read(s, octets, sizeof(octets))) < 0)
		fail("read");
	printf("%.*s\n", (int)n, octets);
	close(s);
	sin.sin_port = htons(atoi(argv[3]));
	datagrams(sin);
	return 0;
}
