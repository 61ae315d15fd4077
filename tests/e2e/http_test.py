"""HTTP proxying octet by octet: what goes to origins, what comes back, and how each thing that is wrong is answered
(protocol reference, section 7).
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import golden
import http_origins
import pytest
import raw_socks
from http_origins import HttpOrigin, Reader, Request, ask, receive_response
from origins import echo
from processes import free_port, wait_until
from server import Server
from traffic import RESET

VECTORS = golden.read()
RULES = '[[listen]]\naddress = "127.0.0.1:PORT"\n[policy]\nrules = """\nallow anyone from 127.0.0.0/8 to loopback:{ports}\n"""\n'


@pytest.fixture
def site(serve) -> Iterator[Callable[..., HttpOrigin]]:
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(closing(HttpOrigin(*arguments, **options)))


def get(url: str, *fields: str, method: str = "GET", version: str = "1.1") -> str:
    host = url.split("/")[2]
    return "\r\n".join([f"{method} {url} HTTP/{version}", f"Host: {host}", *fields, "", ""])


def ends(connection: socket.socket) -> bool:
    """The server ends the connection, in order, without another octet."""
    return connection.recv(1) == b""


def abort(connection: socket.socket) -> None:
    """Ends it so that the server learns that nobody waits: a FIN alone only says that nothing more is asked."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


# --- Requests that are served -------------------------------------------------------------------------------------


def test_a_request_goes_out_in_origin_form(serve, site) -> None:
    server, far = serve(), site()
    fields = (
        "Accept: a", "Connection: close, X-Mine", "X-Mine: 1", "Proxy-Connection: keep-alive", "Keep-Alive: 5", "TE: gzip",
        "Proxy-Authorization: Basic eDp5", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Upgrade: h2c",
    )  # fmt: skip
    text = get(f"{far.url}/length/5?q=1", *fields).replace(f"Host: 127.0.0.1:{far.port}", "Host: evil.example")
    far.answer = lambda connection, request: http_origins.respond(connection, Request("GET /length/5 HTTP/1.1", [], b""))
    response = receive_response(Reader(ask(server.proxy, text)))
    assert response.status == 200 and response.body == http_origins.octets(5)
    assert far.requests[0].line == "GET /length/5?q=1 HTTP/1.1"
    expected = [("Host", f"127.0.0.1:{far.port}"), ("Accept", "a"), ("Via", "1.1 stile"), ("Connection", "close")]
    assert far.requests[0].fields == expected
    record = server.wait_for_record(event="session.end", protocol="http", command="forward")
    assert record["target"] == f"127.0.0.1:{far.port}" and record["address"] == f"127.0.0.1:{far.port}"
    assert record["bytes_up"] > 0 and record["bytes_down"] > 0


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_connection_serves_many_requests(serve, site, pipelined: bool) -> None:
    """On one connection to the origin; each has a record of its own."""
    server, far = serve(), site()
    paths = ["length/10", "chunked/100000", "length/0", "chunked/1", "length/300000"]
    texts = [get(f"{far.url}/{path}") for path in paths]
    client = ask(server.proxy, "".join(texts) if pipelined else texts[0])
    reader = Reader(client)
    for number, path in enumerate(paths):
        if number and not pipelined:
            client.sendall(texts[number].encode())
        response = receive_response(reader)
        assert response.status == 200 and response.body == http_origins.octets(int(path.split("/")[1]))
    assert len(far.peers) == 1
    client.close()
    wait_until("every request has its record", lambda: len(ended(server)) == len(paths))
    assert len({record["session"] for record in ended(server)}) == len(paths)


def ended(server: Server) -> list[dict]:
    return [record for record in server.records() if record["event"] == "session.end"]


def test_each_request_is_decided_anew(serve, site) -> None:
    """Both targets and a refused one on one connection; the refusal costs nothing but its own answer."""
    first, second = site(), site()
    refused = site()
    server = serve(config=RULES.format(ports=f"{first.port},{second.port}"))
    client = ask(server.proxy, "".join(get(f"{far.url}/length/3") for far in (first, refused, second, first)))
    reader = Reader(client)
    assert [receive_response(reader).status for _ in range(4)] == [200, 403, 200, 200]
    assert not refused.peers
    assert server.wait_for_record(event="denied")["target"] == f"127.0.0.1:{refused.port}"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_an_old_client_gets_a_body_without_chunks(serve, site, framing: str) -> None:
    server, far = serve(), site()
    octets = raw_socks.receive_all(ask(server.proxy, get(f"{far.url}/{framing}/70000", version="1.0")))
    head, _, body = octets.partition(b"\r\n\r\n")
    assert body == http_origins.octets(70000) and b"Transfer-Encoding" not in head and b"Connection: close" in head
    assert far.requests[0].field("Via") == "1.0 stile" and far.requests[0].line.endswith("HTTP/1.1")


def test_large_bodies_pass_whole_both_ways(serve, site) -> None:
    server, far = serve(), site()
    body, size = http_origins.octets(8 << 20), 8 << 20
    client = ask(server.proxy, get(f"{far.url}/chunked/{size}", f"Content-Length: {size}", method="PUT"))
    client.sendall(body)
    assert receive_response(Reader(client)).body == http_origins.octets(size)
    assert far.requests[0].body == body
    client.sendall(get(f"{far.url}/length/{size}", "Transfer-Encoding: chunked", method="POST").encode())
    client.sendall(http_origins.chunked(body))
    assert receive_response(Reader(client)).body == http_origins.octets(size)
    assert far.requests[1].body == body


def test_a_slow_reader_costs_one_buffer(serve, site) -> None:
    """A client that asks for much and reads nothing stops the origin, not the server."""
    server, far = serve(), site()
    clients = [ask(server.proxy, get(f"{far.url}/length/{64 << 20}")) for _ in range(4)]
    wait_until("the answers begin", lambda: len(far.requests) == 4)
    for client in clients:
        assert client.recv(1) == b"H"
    peak = server.memory()
    other = receive_response(Reader(ask(server.proxy, get(f"{far.url}/length/5"))))
    assert other.status == 200
    assert server.memory() - peak < 4 << 20
    for client in clients:
        abort(client)


def test_a_client_may_close_its_direction(serve, site) -> None:
    server, far = serve(), site()
    client = ask(server.proxy, get(f"{far.url}/length/100000") * 2)
    client.shutdown(socket.SHUT_WR)
    reader = Reader(client)
    assert [len(receive_response(reader).body) for _ in range(2)] == [100000, 100000]
    assert ends(client)


def test_interim_responses_and_expectations_pass(serve, site) -> None:
    server, far = serve(), site()
    client = ask(server.proxy, get(f"{far.url}/sum", "Content-Length: 3", "Expect: 100-continue", method="PUT"))
    reader = Reader(client)
    assert reader.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 Continue")
    client.sendall(b"abc")
    assert receive_response(reader).status == 200 and far.requests[0].body == b"abc"


def test_head_and_bodiless_answers(serve, site) -> None:
    def answer(connection: socket.socket, request: Request) -> bool:
        status = request.path.lstrip("/")
        connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n".encode() if status != "204" else b"HTTP/1.1 204 X\r\n\r\n")
        return True

    server, far = serve(), site(answer)
    client = ask(server.proxy, get(f"{far.url}/200", method="HEAD") + get(f"{far.url}/304") + get(f"{far.url}/204"))
    reader = Reader(client)
    assert [reader.until(b"\r\n\r\n").split(b" ")[1] for _ in range(3)] == [b"200", b"304", b"204"]
    assert len(far.peers) == 1


def test_max_forwards(serve, site) -> None:
    server, far = serve(), site()
    client = ask(server.proxy, get(f"{far.url}/sum", "Max-Forwards: 0", "Cookie: secret", method="TRACE"))
    reader = Reader(client)
    shown = receive_response(reader)
    assert shown.status == 200 and shown.body.startswith(b"TRACE http://") and b"secret" not in shown.body
    assert not far.peers
    client.sendall(get(f"{far.url}/sum", "Max-Forwards: 7", method="OPTIONS").encode())
    assert receive_response(reader).status == 200
    assert far.requests[0].field("Max-Forwards") == "6"


def test_an_upgrade_becomes_a_tunnel(serve, site) -> None:
    def answer(connection: socket.socket, request: Request) -> bool:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello")
        echo(connection)
        return False

    server, far = serve(), site(answer)
    client = ask(server.proxy, get(f"{far.url}/", "Connection: Upgrade", "Upgrade: echo"))
    reader = Reader(client)
    head = reader.until(b"\r\n\r\n")
    assert b"101 Switching" in head and b"Upgrade: echo" in head and b"Connection: Upgrade" in head
    assert reader.take(5) == b"hello"
    client.sendall(b"over the stile")
    assert reader.take(14) == b"over the stile"
    client.shutdown(socket.SHUT_WR)
    assert ends(client)
    assert server.wait_for_record(event="session.end")["reason"] == "fin.client"


# --- CONNECT ------------------------------------------------------------------------------------------------------


def test_connect_is_a_tunnel_with_early_data(serve, origin) -> None:
    server, far = serve(), origin(echo)
    head = f"CONNECT localhost:{far.port} HTTP/1.1\r\nHost: localhost:{far.port}\r\n\r\n"
    client = ask(server.proxy, head + "early")
    expected = b"HTTP/1.1 200 Connection established\r\n\r\nearly"
    assert raw_socks.receive(client, len(expected)) == expected
    client.shutdown(socket.SHUT_WR)
    assert ends(client)
    record = server.wait_for_record(event="session.end", command="connect", protocol="http")
    assert record["target"] == f"localhost:{far.port}" and record["bytes_up"] == record["bytes_down"] == 5


def test_connect_after_other_requests(serve, site) -> None:
    server, far = serve(), site()
    client = ask(server.proxy, get(f"{far.url}/length/5"))
    reader = Reader(client)
    assert receive_response(reader).status == 200
    client.sendall(f"CONNECT 127.0.0.1:{far.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert reader.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    client.sendall(b"GET /length/7 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert receive_response(reader).body == http_origins.octets(7)


# --- Where the client stands --------------------------------------------------------------------------------------


def test_a_proxy_header_names_the_client_of_every_request(serve, site) -> None:
    far = site()
    config = (
        '[[listen]]\naddress = "127.0.0.1:PORT"\nproxy_protocol_from = ["127.0.0.0/8"]\n'
        f'[policy]\nrules = "allow anyone from 203.0.113.9 to loopback:{far.port}"\n'
    )
    server = serve(config=config)
    client = ask(server.proxy, VECTORS["Y1"].octets + get(f"{far.url}/length/3").encode() * 2)
    reader = Reader(client)
    assert [receive_response(reader).status for _ in range(2)] == [200, 200]
    wait_until("both are recorded", lambda: len(ended(server)) == 2)
    assert {record["client"] for record in ended(server)} == {"203.0.113.9:5000"}


def test_a_target_that_takes_a_proxy_header_gets_it_first(serve, origin) -> None:
    heads = []

    def answer(connection: socket.socket) -> None:
        reader = Reader(connection)
        heads.append(reader.until(b"\r\n"))
        http_origins.respond(connection, reader.request())

    far = origin(answer)
    server = serve(config=f'[[listen]]\naddress = "127.0.0.1:PORT"\n[[proxy_protocol_to]]\ntargets = ["127.0.0.1:{far.port}"]\nversion = 1\n')
    client = ask(server.proxy, get(f"http://127.0.0.1:{far.port}/length/3"))
    assert receive_response(Reader(client)).status == 200
    tunnel = ask(server.proxy, f"CONNECT 127.0.0.1:{far.port} HTTP/1.1\r\nHost: x\r\n\r\nGET /length/3 HTTP/1.1\r\n\r\n")
    reader = Reader(tunnel)
    assert reader.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert receive_response(reader).status == 200
    for head, source in zip(heads, (client, tunnel)):
        assert head == f"PROXY TCP4 127.0.0.1 127.0.0.1 {source.getsockname()[1]} {far.port}".encode()


# --- What is refused ----------------------------------------------------------------------------------------------

LINE = "GET http://127.0.0.1:1/ HTTP/1.1\r\n"
HOST = LINE + "Host: x\r\n"
REFUSED = {
    "H1": (VECTORS["H1"].octets, 400, "http.host"),
    "H2": (VECTORS["H2"].octets, 505, "http.version"),
    "H3": (VECTORS["H3"].octets, 400, "http.target"),
    "H6": (VECTORS["H6"].octets, 400, "http.framing"),
    "a page's form": ("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\nhi", 400, "http.target"),
    "scheme": ("GET ftp://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n", 501, "http.scheme"),
    "no port": ("CONNECT a.example HTTP/1.1\r\nHost: a\r\n\r\n", 400, "http.target"),
    "port 0": ("CONNECT a.example:0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request.port"),
    "CONNECT with a body": ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400, "http.framing"),
    "two hosts": (LINE + "Host: a\r\nHost: b\r\n\r\n", 400, "http.host"),
    "two lengths": (HOST + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400, "http.framing"),
    "length and chunks": (HOST + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "http.framing"),
    "not last chunked": (HOST + "Transfer-Encoding: chunked, identity\r\n\r\n", 400, "http.framing"),
    "twice chunked": (HOST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "http.framing"),
    "another coding": (HOST + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "http.coding"),
    "signed length": (HOST + "Content-Length: +1\r\n\r\nx", 400, "http.framing"),
    "folded": (HOST + "X: a\r\n b\r\n\r\n", 400, "http.syntax"),
    "space before colon": (HOST + "Content-Length : 1\r\n\r\nx", 400, "http.syntax"),
    "bare CR": (HOST + "X: a\rContent-Length: 1\r\n\r\n", 400, "http.syntax"),
    "NUL": (HOST + "X: a\0b\r\n\r\n", 400, "http.syntax"),
    "long line": ("GET http://a.example/" + "x" * 9000 + " HTTP/1.1\r\n", 414, "http.line_long"),
    "large fields": (HOST + "X: " + "x" * 66_000 + "\r\n\r\n", 431, "http.fields_large"),
    "many fields": (HOST + "X: y\r\n" * 101 + "\r\n", 431, "http.fields_large"),
    "impossible name": ("CONNECT 0x7f.1:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "name.impossible"),
    "SMTP": ("EHLO mail.example\r\n", 400, "http.syntax"),
    "PROXY header": (VECTORS["Y1"].octets, 400, "http.syntax"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_malformed_request_is_refused(serve, case: str) -> None:
    """Whatever could hide a second request gets one answer and the end; nothing behind it is read as a request."""
    text, status, reason = REFUSED[case]
    text = text.encode("latin-1") if isinstance(text, str) else text
    server = serve()
    smuggled = b"GET http://127.0.0.1:1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    octets = raw_socks.receive_all(ask(server.proxy, text + smuggled))
    head, _, body = octets.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and b"Connection: close" in head
    assert b"Proxy-Status: stile; error=http_request_error" in head
    assert body and b"Content-Length: %d\r\n" % len(body) in head + b"\r\n", "one answer, whole"
    record = server.wait_for_record(event="error")
    assert record["reason"] == reason and len(server.records()) == 1


def test_smuggling_never_reaches_an_origin(serve, site) -> None:
    """Each origin sees exactly the requests that were addressed to it (threat TP6)."""
    first, second = site(), site()
    server = serve()
    hidden = get(f"{second.url}/hidden")
    bodies = [
        f"Content-Length: {len(hidden)}\r\n\r\n{hidden}",
        f"Transfer-Encoding: chunked\r\n\r\n{len(hidden):x};a=b\r\n{hidden}\r\n0\r\nX: y\r\n\r\n",
    ]
    for body in bodies:
        client = ask(server.proxy, f"POST {first.url}/sum HTTP/1.1\r\nHost: {second.host}:{second.port}\r\n{body}")
        assert receive_response(Reader(client)).status == 200
    for broken in ("2\r\nabX", "-1\r\n", "0x1\r\na\r\n", "1 1\r\na\r\n", "ffffffffffffffff1\r\n", "1\na\n0\n\n"):
        chunks = f"Transfer-Encoding: chunked\r\n\r\n{broken}{hidden}"
        octets = raw_socks.receive_all(ask(server.proxy, f"POST {first.url}/sum HTTP/1.1\r\nHost: x\r\n{chunks}"))
        assert octets.startswith(b"HTTP/1.1 400 ") and octets.count(b"HTTP/1.1 ") == 1, broken
    assert not second.requests
    assert [request.body.decode() for request in first.requests] == [hidden, hidden]
    assert {request.field("Host") for request in first.requests} == {f"127.0.0.1:{first.port}"}


ANSWERS = {
    "nothing": (b"", b"502", "http.incomplete"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", b"502", "http.incomplete"),
    "another protocol": (b"SSH-2.0-OpenSSH\r\n\r\n", b"502", "http.response"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", b"502", "http.response"),
    "another coding": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", b"502", "http.response"),
    "a switch unasked": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", b"502", "http.response"),
    "credentials": (VECTORS["R2"].octets, b"502", "http.response"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_broken_answer_is_502(serve, origin, case: str) -> None:
    octets, status, reason = ANSWERS[case]

    def answer(connection: socket.socket) -> None:
        Reader(connection).request()
        connection.sendall(octets)

    server, far = serve(), origin(answer)
    client = ask(server.proxy, get(f"http://127.0.0.1:{far.port}/"))
    response = receive_response(Reader(client))
    assert response.status == int(status) and "Proxy-Status: stile; error=http_" in response.head
    assert server.wait_for_record(event="session.end")["reason"] == reason


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello",
    ],
)
def test_a_cut_answer_is_a_reset(serve, origin, octets: bytes) -> None:
    """Nobody takes a part for the whole."""

    def answer(connection: socket.socket) -> None:
        Reader(connection).request()
        connection.sendall(octets)

    server, far = serve(), origin(answer)
    with pytest.raises(ConnectionResetError):
        raw_socks.receive_all(ask(server.proxy, get(f"http://127.0.0.1:{far.port}/")))
    assert server.wait_for_record(event="session.end")["reason"] in ("http.incomplete", "http.response")


def test_every_way_to_fail_has_its_status(serve) -> None:
    server = serve(config=RULES.format(ports="1-65535"))
    cases = [
        (f"http://127.0.0.1:{free_port()}/", 502, "connection_refused"),
        ("http://nowhere.invalid/", 502, "dns_error"),
        ("http://192.0.2.1/", 403, "http_request_denied"),
        ("http://0.0.0.0/", 403, "destination_ip_prohibited"),
    ]
    client = ask(server.proxy, "".join(get(url) for url, _, _ in cases))
    reader = Reader(client)
    for url, status, error in cases:
        response = receive_response(reader)
        assert (response.status, f"error={error}\r\n" in response.head) == (status, True), url


def test_the_sessions_limit_is_503(serve, site) -> None:
    def answer(connection: socket.socket, request: Request) -> bool:
        connection.recv(1)
        return False

    far = site(answer)
    server = serve(config='[[listen]]\naddress = "127.0.0.1:PORT"\n[limits]\nsessions = 1\n')
    held = ask(server.proxy, get(f"{far.url}/"))
    wait_until("the first is served", lambda: len(far.requests) == 1)
    response = receive_response(Reader(ask(server.proxy, get(f"{far.url}/"))))
    assert response.status == 503 and "Retry-After: 10\r\n" in response.head
    abort(held)


# --- Time and ends ------------------------------------------------------------------------------------------------


def test_a_head_is_due_before_the_handshakes_deadline(serve, site) -> None:
    far = site()
    server = serve(config='[[listen]]\naddress = "127.0.0.1:PORT"\n[limits]\nhandshake = "1s"\n')
    assert ends(ask(server.proxy, "GET http://a.example/ HTTP/1.1\r\nHo"))
    later = ask(server.proxy, get(f"{far.url}/length/5") + "GET http://")
    reader = Reader(later)
    assert receive_response(reader).status == 200
    assert ends(later)
    wait_until("both are recorded", lambda: [r.get("reason") for r in server.records()].count("timeout.handshake") == 2)


def test_an_idle_origin_that_ends_is_replaced(serve, site) -> None:
    far = site(lambda connection, request: http_origins.respond(connection, request) and False)
    server = serve()
    client = ask(server.proxy, "")
    reader = Reader(client)
    for number in range(1, 4):
        client.sendall(get(f"{far.url}/length/5").encode())
        assert receive_response(reader).status == 200
        assert len(far.peers) == number


def test_a_silent_origin_is_504_where_idling_is_limited(serve, site) -> None:
    far = site(lambda connection, request: connection.recv(1) == b"never")
    server = serve(config='[[listen]]\naddress = "127.0.0.1:PORT"\n[limits]\nidle = "1s"\n')
    assert receive_response(Reader(ask(server.proxy, get(f"{far.url}/")))).status == 504
    assert server.wait_for_record(event="session.end")["reason"] == "http.unavailable"


def test_a_draining_server_finishes_what_it_serves(serve, site) -> None:
    go = []

    def answer(connection: socket.socket, request: Request) -> bool:
        wait_until("the server drains", lambda: bool(go))
        return http_origins.respond(connection, request)

    server, far = serve(), site(answer)
    idle = ask(server.proxy, get("http://127.0.0.1:1/"))
    assert receive_response(Reader(idle)).status == 502
    busy = ask(server.proxy, get(f"{far.url}/length/100000"))
    wait_until("the request arrived", lambda: len(far.requests) == 1)
    server.process.terminate()
    assert ends(idle)
    go.append(True)
    response = receive_response(Reader(busy))
    assert len(response.body) == 100000 and "Connection: close" in response.head
    assert server.process.wait(20) == 0
