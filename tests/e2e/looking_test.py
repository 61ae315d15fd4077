"""Access records of what is inside tunnels: URLs, server names, and nothing where no rule asks (design 5.4; decision 8).

The octets are looked at, not held back: each test that sends some also sees them arrive.
"""

import json
import socket
import ssl

import pytest
import raw_socks
from http_origins import HttpOrigin, Reader, Request, ask, receive_response, respond
from origins import echo, greet
from processes import wait_until

HOSTILE = [
    b'/"}{"event":"auth.failed","client":"1.2.3.4:1"}',
    b"/\xe2\x80\xaegpj.exe",
    b"/\\\"\x80\xff'",
    b"/auth.failed_session=000000000000002a_client=1.2.3.4:1",
]


def config(log: str = "url", more: str = "") -> str:
    return (
        f'{more}\n[[listen]]\naddress = "127.0.0.1:PORT"\n[policy]\nrules = """\n'
        f'seen: allow anyone from 127.0.0.0/8 to loopback log {log}\n"""\n'
    )


def client_hello(name: str | None, protocols: list[str]) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(received, to_send, server_hostname=name).do_handshake()
    return to_send.read()


def passes(connection: socket.socket, octets: bytes, step: int = 0) -> None:
    """The echo brings them back, so they have passed."""
    for begin in range(0, len(octets), step or len(octets)):
        connection.sendall(octets[begin : begin + (step or len(octets))])
    assert raw_socks.receive(connection, len(octets)) == octets


def urls(server) -> list[object]:
    return [record["url"] for record in server.records() if record["event"] == "request"]


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(("more", "query"), [("", ""), ('log_query = "keep"', "?token=secret")])
def test_each_request_of_a_tunnel_is_recorded(serve, origin, more: str, query: str, step: int) -> None:
    server, far = serve(config=config(more=more)), origin(echo)
    requests = (
        b"GET /a?token=secret HTTP/1.1\r\nHost: example.com\r\n\r\n"
        b"POST /b HTTP/1.1\r\nHost: example.com:8080\r\nContent-Length: 34\r\n\r\nGET /not-a-request HTTP/1.1\r\n\r\nabc"
        b"PUT http://u:p@example.org/c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n"
    )
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        passes(client, requests, step)
        passes(client, b"\x16\x03\x01 no longer HTTP\r\nGET /d HTTP/1.1\r\n\r\n")
    end = server.wait_for_record(event="session.end")
    assert not {"url", "sni"} & end.keys()
    assert urls(server) == [f"GET http://example.com/a{query}", "POST http://example.com:8080/b", "PUT http://example.org/c"]
    for record in server.records():
        assert (record["session"], record["target"], record["rule"]) == (end["session"], f"127.0.0.1:{far.port}", "seen")


@pytest.mark.parametrize("step", [0, 1, 100])
@pytest.mark.parametrize(("name", "protocols", "expected"), [
    ("www.example.com", ["h2", "http/1.1"], {"sni": "www.example.com", "alpn": "h2,http/1.1"}),
    ("www.example.com", [], {"sni": "www.example.com"}),
    (None, [], {}),
])  # fmt: skip
def test_the_name_in_a_hello_is_recorded(serve, origin, step: int, name, protocols, expected) -> None:
    server, far = serve(config=config()), origin(echo)
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        passes(client, client_hello(name, protocols), step)
        passes(client, b"GET /inside HTTP/1.1\r\n\r\n")
    end = server.wait_for_record(event="session.end")
    assert {key: end[key] for key in ("sni", "alpn") if key in end} == expected
    assert urls(server) == []


def test_early_data_is_looked_at(serve, origin) -> None:
    server, far = serve(config=config()), origin(echo)
    request = b"GET /early HTTP/1.1\r\nHost: a\r\n\r\n"
    with raw_socks.dial(server.proxy) as client:
        client.sendall(raw_socks.GREETING + raw_socks.request(far.host, far.port) + request)
        assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
        assert raw_socks.receive_reply(client).code == 0
        assert raw_socks.receive(client, len(request)) == request
        server.wait_for_record(event="request", url="GET http://a/early")


def test_a_server_that_speaks_first_is_not_waited_for(serve, origin) -> None:
    server, far = serve(config=config()), origin(greet)
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        assert raw_socks.receive(client, 11) == b"220 ready\r\n"
        passes(client, b"QUIT\r\n")
    server.wait_for_record(event="session.end")
    assert urls(server) == []


def test_a_large_upload_and_what_comes_behind_it(serve, origin) -> None:
    """Octets that could have been spliced are copied as long as they are looked at: they are the same."""
    received: list[int] = []

    def swallow(connection: socket.socket) -> None:
        total = 0
        while octets := connection.recv(1 << 20):
            total += len(octets)
        received.append(total)

    server, far = serve(config=config()), origin(swallow)
    size = 20_000_000
    head = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
    tail = b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        client.sendall(head + bytes(size) + tail)
        client.shutdown(socket.SHUT_WR)
        server.wait_for_record(event="request", url="GET http://a/behind")
        assert client.recv(1) == b""
    assert received == [len(head) + size + len(tail)]


def test_forwarded_requests_have_their_url(serve) -> None:
    far = HttpOrigin(lambda connection, request: respond(connection, Request("GET /length/5 HTTP/1.1", [], b"")))
    server = serve(config=config())
    with ask(server.proxy, f"GET {far.url}/length/5?token=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as client:
        assert receive_response(Reader(client)).status == 200
    for event in ("session.start", "session.end"):
        assert server.wait_for_record(event=event)["url"] == f"GET {far.url}/length/5"
    assert urls(server) == []
    far.close()


def test_a_tunnel_of_http_is_looked_at_as_well(serve, origin) -> None:
    server, far = serve(config=config()), origin(echo)
    with ask(server.proxy, f"CONNECT {far.host}:{far.port} HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        assert Reader(client).until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        passes(client, b"GET /inside HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for_record(event="request", url="GET http://a/inside")


def test_nothing_is_looked_at_unless_a_rule_asks(serve, origin) -> None:
    server, far = serve(config=config("session")), origin(echo)
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        passes(client, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        passes(client, client_hello("www.example.com", ["h2"]))
    assert server.wait_for_record(event="session.end")
    assert not [record for record in server.records() if {"url", "sni", "alpn"} & record.keys()]


def test_log_none_records_refusals_alone(serve, origin) -> None:
    server, far = serve(config=config("none")), origin(echo)
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        passes(client, b"x")
    _, reply = raw_socks.ask(server.proxy, raw_socks.request("127.0.0.1", 1))
    assert reply.code == 5
    _, reply = raw_socks.ask(server.proxy, raw_socks.request("192.0.2.1", 80))
    assert reply.code == 2
    server.wait_for_record(event="denied", target="192.0.2.1:80")
    assert [record["event"] for record in server.records()] == ["denied"]


@pytest.mark.parametrize("log", ["json", "text"])
def test_urls_and_names_that_lie_cannot_forge_a_line(serve, origin, log: str) -> None:
    """Threat TL1."""
    server, far = serve(config=config(), log=log), origin(echo)
    for path in HOSTILE:
        with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
            passes(client, b"GET " + path + b" HTTP/1.1\r\nHost: \"h\"\r\n\r\n")
    hello = client_hello("a" * 40 + ".example", [])
    lie = b'a\r\nerror client=1.2.3.4:1 "\\\xe2\x80\xae'.ljust(48, b"\x00")
    hello = hello.replace(b"a" * 40 + b".example", lie)
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        passes(client, hello)

    def lines() -> list[bytes]:
        return server.records_file.read_bytes().splitlines()

    wait_until("all records are there", lambda: len(lines()) == 3 * len(HOSTILE) + 2)
    for line in lines():
        assert all(0x20 <= octet <= 0x7E for octet in line)
        if log == "json":
            record = json.loads(line)
            assert record["client"].startswith("127.0.0.1:") and record["event"] in ("session.start", "session.end", "request")
        else:
            assert line.split(b" ")[1] in (b"session.start", b"session.end", b"request")
            assert line.index(b" client=127.0.0.1:") < line.index(b'"')
    if log == "json":
        expected = ["GET http://\"h\"" + path.decode(errors="replace") for path in HOSTILE]
        assert urls(server) == expected
        assert server.records()[-1]["sni"] == lie.decode()
