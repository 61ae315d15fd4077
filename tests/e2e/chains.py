"""Servers of Stile in a row: one that clients ask, and hops through which its way leads."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import raw_socks
import traffic
from certificates import Authority
from server import Server

Start = Callable[..., Server]  # the fixture `serve`

EVERYTHING = "allow anyone from loopback to tcp bind resolve ping any, private, loopback, self, reserved"
LISTEN = """
workers = 1

[[listen]]
address = "{host}:PORT"
{listen}
{more}
[policy]
rules = '''
anyone: {rule}
'''
"""
UPSTREAM = """
[[upstream]]
name = "{name}"
servers = [{servers}]
{options}
"""
SIZE = 3_000_000


def configuration(*, listen: str = "", more: str = "", rule: str = EVERYTHING, host: str = "127.0.0.1") -> str:
    shown = f"[{host}]" if ":" in host else host
    return LISTEN.format(host=shown, listen=listen, more=more, rule=rule)


def upstream(name: str, *servers: str, options: str = "") -> str:
    return UPSTREAM.format(name=name, servers=", ".join(f'"{server}"' for server in servers), options=options)


def url(proxy: tuple[str, int], scheme: str = "socks5h", user: str = "") -> str:
    host = f"[{proxy[0]}]" if ":" in proxy[0] else proxy[0]
    return f"{scheme}://{user}{host}:{proxy[1]}"


@dataclass(frozen=True)
class Row:
    entry: Server
    hops: list[Server]

    @property
    def last(self) -> Server:
        return self.hops[-1]

    @property
    def proxy(self) -> tuple[str, int]:
        return self.entry.proxy

    def nodes(self) -> list[Server]:
        return [self.entry, *self.hops]


def entry_to(serve: Start, *servers: str, options: str = "", listen: str = "", more: str = "", **place) -> Server:
    """A server whose way leads through proxies at these URLs, one behind the other."""
    names = [f"hop{number}" for number in range(1, len(servers) + 1)]
    upstreams = "".join(upstream(name, server, options=options) for name, server in zip(names, servers))
    rule = f"{EVERYTHING} via {' > '.join(names)}"
    config = configuration(listen=listen, more=more + upstreams, rule=rule, host=place.get("host", "127.0.0.1"))
    return serve(config=config, **place)


def row(serve: Start, count: int, scheme: str = "socks5h", options: str = "", listen: str = "", **place) -> Row:
    """`count` hops behind an entry that knows them all; `options` is how it meets them, `listen` how they listen."""
    config = configuration(listen=listen, host=place.get("host", "127.0.0.1"))
    hops = [serve(config=config, **place) for _ in range(count)]
    return Row(entry_to(serve, *(url(hop.proxy, scheme) for hop in hops), options=options, **place), hops)


def nested(serve: Start, count: int, options: str = "", listen: str = "", **place) -> Row:
    """`count` hops behind an entry; each node knows the next one alone."""
    nodes = [serve(config=configuration(listen=listen), **place)]
    for number in range(count):
        own = "" if number == count - 1 else listen
        nodes.append(entry_to(serve, url(nodes[-1].proxy), options=options, listen=own, **place))
    return Row(nodes[-1], list(reversed(nodes[:-1])))


def exchange(client: socket.socket, far: socket.socket, size: int = SIZE) -> None:
    """A stream each way at once, every octet of both checked, then FIN each way."""
    sent = [traffic.in_thread(traffic.send, one, seed, size) for one, seed in ((client, 1), (far, 2))]
    got = [traffic.in_thread(traffic.receive, one, size) for one in (far, client)]
    assert [one.result(60) for one in got] == [one.result(60) for one in sent]
    client.shutdown(socket.SHUT_WR)
    traffic.expect_end(far)
    far.shutdown(socket.SHUT_WR)
    traffic.expect_end(client)


def answer(proxy: tuple[str, int], host: str, port: int, command: int = raw_socks.CONNECT) -> raw_socks.Reply:
    """The reply to a request whose connection is not kept."""
    connection, reply = raw_socks.ask(proxy, raw_socks.request(host, port, command))
    connection.close()
    return reply


def secured(ca: Authority, name: str, clients: bool = False) -> str:
    """A listener's TLS, as 127.0.0.1; with `clients`, for those that show a certificate of this CA."""
    certificate, key = ca.issue(name, "DNS:localhost", "IP:127.0.0.1")
    client_ca = f', client_ca = "{ca.certificate}"' if clients else ""
    return f'tls = {{ certificate = "{certificate}", key = "{key}"{client_ca} }}'


def secret(folder: Path, name: str, password: str) -> Path:
    file = folder / name
    file.write_text(password + "\n")
    file.chmod(0o600)
    return file
