"""Listeners that speak TLS: other people's clients inside it, client certificates, refusals and their records, ends."""

import hashlib
import os
import signal
import socket
import ssl
import struct
import time
from contextlib import closing
from pathlib import Path

import pytest
import raw_socks
from certificates import Authority
from datagrams import DatagramEcho
from origins import echo, greet
from processes import accepts, free_port, run, stile, wait_until
from server import Server

EXPIRED = ("20240101000000Z", "20240102000000Z")
ANYBODY = "allow anyone from loopback to tcp bind udp loopback"
LISTENER = """
[[listen]]
address = "127.0.0.1:PORT"
tls = {{ {files} }}
{more}
[policy]
rules = '''
{rules}
'''
"""


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def own(ca: Authority) -> tuple[Path, Path]:
    return ca.issue("server", "DNS:localhost", "IP:127.0.0.1")


def files(own: tuple[Path, Path], more: str = "") -> str:
    return f'certificate = "{own[0]}", key = "{own[1]}"{more}'


def configuration(own: tuple[Path, Path], tls: str = "", more: str = "", rules: str = ANYBODY) -> str:
    return LISTENER.format(files=files(own, tls), more=more, rules=rules)


def client_ca(ca: Authority, crl: Path | None = None) -> str:
    return f', client_ca = "{ca.certificate}"' + (f', crl = "{crl}"' if crl else "")


def wrap(connection: socket.socket, ca: Authority, shown: tuple[Path, Path] | None = None) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(ca.certificate))
    if shown:
        context.load_cert_chain(*shown)
    return context.wrap_socket(connection, server_hostname="localhost", suppress_ragged_eofs=False)


def dial(server: Server, ca: Authority, shown: tuple[Path, Path] | None = None) -> ssl.SSLSocket:
    secured = wrap(raw_socks.dial(server.proxy), ca, shown)
    raw_socks.opened.append(secured)
    return secured


def tunnel(server: Server, ca: Authority, port: int, shown: tuple[Path, Path] | None = None) -> ssl.SSLSocket:
    connection = dial(server, ca, shown)
    connection.sendall(raw_socks.GREETING + raw_socks.request("127.0.0.1", port))
    assert raw_socks.receive(connection, 2) == raw_socks.METHOD_NONE
    assert raw_socks.receive_reply(connection).code == 0
    return connection


def curl(server: Server, ca: Authority, url: str, *options: object):
    proxy = f"https://localhost:{server.proxy[1]}"
    return run("curl", "-sS", "--noproxy", "", "--proxy-cacert", ca.certificate, "-x", proxy, *options, url)


def page(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


# --- What works inside ---


def test_curl_forwards_and_connects(serve, origin, ca, own) -> None:
    server, far = serve(config=configuration(own)), origin(page)
    for option in ("-i", "-p"):
        result = curl(server, ca, f"http://127.0.0.1:{far.port}/", option)
        assert (result.returncode, result.stdout[-5:]) == (0, "hello"), result.stderr
    assert "(SOCKS5, SOCKS4, HTTP; inside TLS)" in server.errors()
    assert "in clear" not in server.errors()


def test_openssl_and_its_versions(serve, ca, own) -> None:
    server = serve(config=configuration(own))
    address = "{}:{}".format(*server.proxy)
    trust = ("-CAfile", ca.certificate, "-verify_return_error", "-verify_hostname", "localhost", "-connect", address)
    for version in ("-tls1_2", "-tls1_3"):
        result = run("openssl", "s_client", version, *trust, input="Q\n")
        assert result.returncode == 0 and "Verify return code: 0 (ok)" in result.stdout, result.stderr
        assert "Compression: NONE" in result.stdout or version == "-tls1_3"
        assert "New, TLSv1" in result.stdout and "Early data was not sent" in result.stdout or version == "-tls1_2"
    old = run("openssl", "s_client", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", *trust, input="")
    assert old.returncode != 0 and "alert protocol version" in old.stderr
    server.wait_for_record(event="error", reason="tls.version")


def test_renegotiation_is_refused(serve, ca, own) -> None:
    server = serve(config=configuration(own))
    address = "{}:{}".format(*server.proxy)
    result = run("openssl", "s_client", "-tls1_2", "-CAfile", ca.certificate, "-connect", address, input="R\n")
    assert "no renegotiation" in result.stderr or "no_renegotiation" in result.stderr, result.stderr


def test_stunnel_carries_socks(serve, origin, daemon, tmp_path, ca, own) -> None:
    server, far, port = serve(config=configuration(own)), origin(page), free_port()
    (tmp_path / "stunnel.conf").write_text(
        f"foreground = yes\npid =\n[socks]\nclient = yes\naccept = 127.0.0.1:{port}\n"
        f"connect = 127.0.0.1:{server.proxy[1]}\nCAfile = {ca.certificate}\nverifyChain = yes\ncheckHost = localhost\n"
    )
    daemon("stunnel4", tmp_path / "stunnel.conf")
    wait_until("stunnel listens", lambda: accepts("127.0.0.1", port))
    for scheme in ("socks5h", "socks4a", "socks4", "http"):
        result = run("curl", "-sS", "--noproxy", "", "-p", "-x", f"{scheme}://127.0.0.1:{port}", f"http://127.0.0.1:{far.port}/")
        assert (result.returncode, result.stdout) == (0, "hello"), result.stderr


def test_bind_and_datagrams(serve, ca, own) -> None:
    server = serve(config=configuration(own))
    waiting = dial(server, ca)
    waiting.sendall(raw_socks.GREETING + raw_socks.request("127.0.0.1", 0, 2))
    assert raw_socks.receive(waiting, 2) == raw_socks.METHOD_NONE
    where = raw_socks.receive_reply(waiting)
    with socket.create_connection(("127.0.0.1", where.port)) as peer:
        assert raw_socks.receive_reply(waiting).code == 0
        peer.sendall(b"from the peer")
        assert raw_socks.receive(waiting, 13) == b"from the peer"
    control = dial(server, ca)
    control.sendall(raw_socks.GREETING + raw_socks.request("0.0.0.0", 0, 3))
    assert raw_socks.receive(control, 2) == raw_socks.METHOD_NONE
    relay = raw_socks.receive_reply(control)
    far = DatagramEcho()
    with closing(far), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(10)
        head = b"\0\0\0" + raw_socks.address("127.0.0.1", far.port)
        datagrams.sendto(head + b"plain", ("127.0.0.1", relay.port))
        assert datagrams.recv(100) == head + b"plain"
    control.unwrap()
    server.wait_for_record(event="session.end", command="udp-associate", reason="fin.client")


def test_large_transfers_both_ways(serve, origin, ca, own) -> None:
    up, down = os.urandom(12 << 20), os.urandom(12 << 20)
    got: list[str] = []

    def far_end(connection: socket.socket) -> None:
        digest = hashlib.sha256()
        while piece := connection.recv(1 << 16):
            digest.update(piece)
        got.append(digest.hexdigest())
        connection.sendall(down)  # behind the client's end: half-closed

    server, far = serve(config=configuration(own)), origin(far_end)
    # Python's sockets end both ways at once; its memory buffers can half-close.
    connection = raw_socks.dial(server.proxy)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(ca.certificate))
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

    def step(call, *arguments):
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    connection.sendall(outgoing.read())
                piece = connection.recv(1 << 16)
                incoming.write(piece) if piece else incoming.write_eof()

    step(client.do_handshake)
    client.write(raw_socks.GREETING + raw_socks.request("127.0.0.1", far.port))
    replies = b""
    while len(replies) < 12:
        replies += step(client.read, 12 - len(replies))
    for start in range(0, len(up), 1 << 18):
        client.write(up[start : start + (1 << 18)])
        connection.sendall(outgoing.read())
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    connection.sendall(outgoing.read())
    connection.shutdown(socket.SHUT_WR)
    received = bytearray()
    with pytest.raises(ssl.SSLZeroReturnError):  # close_notify
        while True:
            received += step(client.read, 1 << 16)
    assert bytes(received) == down
    wait_until("the far end has all", lambda: bool(got))
    assert got == [hashlib.sha256(up).hexdigest()]
    end = server.wait_for_record(event="session.end")
    assert (end["bytes_up"], end["bytes_down"], end["reason"]) == (len(up), len(down), "fin.client")


# --- Who may come in ---


def test_the_certificate_is_the_user(serve, origin, ca, own) -> None:
    rules = "allow cert:spiffe://corp/alice from loopback to loopback\nallow cert:bob.example from loopback to 127.0.0.2"
    server, far = serve(config=configuration(own, client_ca(ca), rules=rules)), origin(greet)
    alice = ca.issue("mallory", "DNS:alice.example", "URI:spiffe://corp/alice", "email:alice@example.com")
    bob = ca.issue("alice", "DNS:bob.example")
    assert tunnel(server, ca, far.port, alice).recv(100)
    record = server.wait_for_record(event="session.start")
    assert (record["user"], record["method"]) == ("cert:spiffe://corp/alice", "certificate")
    connection = dial(server, ca, bob)
    connection.sendall(raw_socks.GREETING + raw_socks.request("127.0.0.1", far.port))
    assert raw_socks.receive(connection, 2) == raw_socks.METHOD_NONE
    assert raw_socks.receive_reply(connection).code == 2
    server.wait_for_record(event="denied", user="cert:bob.example")
    shown = ("--proxy-cert", alice[0], "--proxy-key", alice[1])
    web = origin(page)
    assert curl(server, ca, f"http://127.0.0.1:{web.port}/", *shown).stdout == "hello"
    assert "with a client's certificate): users with a certificate" in server.errors()


def test_certificates_that_do_not_count(serve, tmp_path, ca, own) -> None:
    revoked = ca.issue("revoked", "DNS:revoked.example")
    ca.revoke(revoked[0])
    other = Authority(tmp_path / "other", "Another CA")
    shown = {
        "tls.certificate.missing": None,
        "tls.certificate.untrusted": other.issue("stranger", "DNS:stranger.example"),
        "tls.certificate.expired": ca.issue("late", "DNS:late.example", dates=EXPIRED),
        "tls.certificate.revoked": revoked,
        "tls.certificate.name": ca.issue("nameless"),
    }
    server = serve(config=configuration(own, client_ca(ca, ca.revocation_list())))
    for reason, certificate in shown.items():
        connection = dial(server, ca, certificate)
        with pytest.raises(ssl.SSLError, match="alert"):
            connection.recv(1)  # TLS 1.3: the refusal comes behind the client's handshake
        assert "user" not in server.wait_for_record(event="error", reason=reason)
    assert dial(server, ca, ca.issue("good", "DNS:good.example")).version() == "TLSv1.3"


def test_a_password_inside_is_not_in_clear(serve, origin, tmp_path, ca, own) -> None:
    assert stile("user", "add", "alice", "--file", tmp_path / "users", input="secret\n").returncode == 0
    users = f'[users]\nfile = "{tmp_path}/users"\n'
    server, far = serve(config=configuration(own, rules="allow alice from loopback to loopback") + users), origin(page)
    for login, code in (("alice:secret", 0), ("alice:wrong", 0)):
        result = curl(server, ca, f"http://127.0.0.1:{far.port}/", "-U", login)
        assert result.returncode == code
        assert (result.stdout == "hello") == (login == "alice:secret")
    everywhere = configuration(own).replace("127.0.0.1:PORT", "0.0.0.0:1080") + users
    for tls, warned in (("", False), (", optional = true", True)):
        (tmp_path / "c.toml").write_text(everywhere.replace('key"', f'key"{tls}'))
        checked = stile("check", "--config", tmp_path / "c.toml")
        assert ("in clear" in checked.stderr) == warned, checked.stderr


# --- What is refused ---


@pytest.mark.parametrize("octets", [raw_socks.GREETING, b"\x04\x01\0\x50\x7f\0\0\x01\0", b"GET http://a/ HTTP/1.1\r\n\r\n"])
def test_plain_clients_are_closed_without_an_octet(serve, ca, own, octets: bytes) -> None:
    server = serve(config=configuration(own))
    connection = raw_socks.dial(server.proxy)
    connection.sendall(octets)
    try:
        assert connection.recv(100) == b""
    except ConnectionResetError:
        pass  # closed with unread input
    server.wait_for_record(event="error", reason="tls.missing")


def test_plain_and_tls_where_it_is_optional(serve, origin, ca, own) -> None:
    server, far = serve(config=configuration(own, ", optional = true")), origin(greet)
    assert raw_socks.tunnel(server.proxy, "127.0.0.1", far.port).recv(100)
    assert tunnel(server, ca, far.port).recv(100)


def test_garbage_behind_a_hello(serve, origin, ca, own) -> None:
    server, far = serve(config=configuration(own)), origin(greet)
    connection = raw_socks.dial(server.proxy)
    connection.sendall(b"\x16\x03\x01\x00\x05hello")
    connection.recv(100)
    server.wait_for_record(event="error", reason="tls.handshake")
    assert tunnel(server, ca, far.port).recv(100), "others are served"


def test_the_deadline_covers_the_handshake(serve, ca, own) -> None:
    config = configuration(own) + '[limits]\nhandshake = "1s"\n'
    server = serve(config=config)
    connection = raw_socks.dial(server.proxy)
    for octet in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60):
        try:
            connection.sendall(bytes([octet]))
        except OSError:
            break
        time.sleep(0.05)
    server.wait_for_record(event="error", reason="timeout.handshake")
    silent = dial(server, ca)
    assert silent.recv(1) == b"", "in order: the handshake was done, the request never came"


def test_a_proxy_header_comes_first(serve, origin, ca, own) -> None:
    more = 'proxy_protocol_from = "127.0.0.1"'
    server, far = serve(config=configuration(own, more=more, rules="allow anyone from 192.0.2.0/24 to loopback")), origin(greet)
    plain = raw_socks.dial(server.proxy)
    plain.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1080\r\n")
    connection = wrap(plain, ca)
    raw_socks.opened.append(connection)
    connection.sendall(raw_socks.GREETING + raw_socks.request("127.0.0.1", far.port))
    assert raw_socks.receive(connection, 2) == raw_socks.METHOD_NONE
    assert raw_socks.receive_reply(connection).code == 0
    assert server.wait_for_record(event="session.start")["client"] == "192.0.2.7:4711"


# --- How streams end ---


def test_a_stream_that_is_cut_short(serve, origin, ca, own) -> None:
    server, far = serve(config=configuration(own)), origin()
    connection = tunnel(server, ca, far.port)
    connection.sendall(b"half of it")
    at_target = far.accept()
    assert raw_socks.receive(at_target, 10) == b"half of it"
    socket.socket(fileno=connection.detach()).close()  # FIN without close_notify
    with pytest.raises(ConnectionResetError):
        at_target.recv(1)
    server.wait_for_record(event="session.end", reason="tls.truncated")


def test_a_reset(serve, origin, ca, own) -> None:
    server, far = serve(config=configuration(own)), origin()
    connection = tunnel(server, ca, far.port)
    at_target = far.accept()
    plain = socket.socket(fileno=connection.detach())
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()
    with pytest.raises(ConnectionResetError):
        at_target.recv(1)
    server.wait_for_record(event="session.end", reason="rst.client")


def test_what_follows_the_end_is_nothing(serve, origin, ca, own) -> None:
    server, far = serve(config=configuration(own)), origin()
    connection = tunnel(server, ca, far.port)
    connection.setblocking(False)
    connection.sendall(b"all of it")
    with pytest.raises((ssl.SSLWantReadError, BlockingIOError)):
        connection.unwrap()  # close_notify goes out
    plain = socket.socket(fileno=connection.detach())
    raw_socks.opened.append(plain)
    plain.setblocking(True)
    plain.sendall(b"\x17\x03\x03\x00\x05never")
    at_target = far.accept()
    assert raw_socks.receive_all(at_target) == b"all of it"


# --- Files ---


def test_files_that_cannot_be_used(tmp_path, ca, own) -> None:
    late = ca.issue("expired", "DNS:localhost", dates=EXPIRED)
    other, no_key = ca.issue("other", "DNS:localhost"), tmp_path / "no.key"
    no_key.write_bytes(own[0].read_bytes())
    no_key.chmod(0o640)
    (tmp_path / "empty.pem").write_text("nothing\n")
    cases = {
        files((tmp_path / "absent.pem", own[1])): "absent.pem: No such file",
        files((tmp_path / "empty.pem", own[1])): "empty.pem: it holds no certificate",
        files((own[0], no_key)): "it holds no private key",
        files((own[0], own[0])): "it holds a secret, and everybody on this host may read it (chmod o-r",
        files((own[0], other[1])): "other.key: it is not the key of the certificate",
        files(late): "expired.pem: the certificate has expired",
        files(own, f', client_ca = "{tmp_path}/empty.pem"'): "empty.pem: it holds no certificate",
        files(own, client_ca(ca, ca.certificate)): "ca.pem: it holds no revocation list",
        files(own, client_ca(ca) + ", optional = true"): "TLS is not optional",
        files(own, f', crl = "{ca.certificate}"'): "which only client_ca asks for",
        f'certificate = "{own[0]}"': "it takes a certificate and its key",
        files(own, ', certificat = "x"'): "unknown key 'certificat' (did you mean 'certificate'?)",
    }
    for text, message in cases.items():
        file = tmp_path / "stile.toml"
        file.write_text(LISTENER.format(files=text, more="", rules=ANYBODY).replace("PORT", "0"))
        for command in ("check", "serve"):
            result = stile(command, "--config", file)
            assert result.returncode == 78
            assert f"{file}:4:" in result.stderr and message in result.stderr, (message, result.stderr)


def test_reload_takes_other_files(serve, origin, tmp_path, ca, own) -> None:
    server, far = serve(config=configuration(own)), origin(echo)
    old = tunnel(server, ca, far.port)
    serial = old.getpeercert()["serialNumber"]
    own[1].write_text("no key\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until("the reload is refused", lambda: "it holds no private key" in server.errors())
    assert dial(server, ca).getpeercert()["serialNumber"] == serial, "nothing has changed"
    certificate, key = ca.issue("renewed", "DNS:localhost")
    own[0].write_bytes(certificate.read_bytes())
    own[1].write_bytes(key.read_bytes())
    server.process.send_signal(signal.SIGHUP)
    wait_until("the reload is done", lambda: "reloaded (generation 1)" in server.errors())
    assert dial(server, ca).getpeercert()["serialNumber"] != serial
    old.sendall(b"lives on")
    assert raw_socks.receive(old, 8) == b"lives on"
