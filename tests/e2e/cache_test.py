"""A cache that a rule puts into the path: nginx with the configuration that is shipped, between Stile and origins that
count what reaches them. The record of each request says whether it was a hit (docs/caching.md)."""

import base64
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from http_origins import HttpOrigin, Reader, Request, ask, receive_response
from logins import add_user
from origins import Origin, echo
from processes import ROOT, Daemon, free_port, run, stile, wait_until
from server import Server

EXAMPLES = ROOT / "packaging" / "examples"
PASSWORDS = {"alice": "correct horse", "bob": "battery staple"}
LOGIN = "Proxy-Authorization: Basic " + base64.b64encode(b"alice:correct horse").decode()
FRESH = "Cache-Control: max-age=600"


def put(text: str, old: str, by: object) -> str:
    """What the example has to say somewhere else in a test."""
    assert old in text, f"the example does not say {old!r}"
    return text.replace(old, str(by))


class Cache:
    """nginx of one's own: everything that it writes is in one folder, and no privilege is needed."""

    def __init__(self, folder: Path) -> None:
        (folder / "nginx").mkdir()
        self.folder, self.port = folder / "nginx", free_port()
        example = put((EXAMPLES / "nginx-cache.conf").read_text(), "127.0.0.1:8080", f"127.0.0.1:{self.port}")
        (self.folder / "stile-cache.conf").write_text(put(example, "/var/lib/nginx/stile-cache", self.folder / "cache"))
        paths = "".join(f"{kind}_temp_path {self.folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {self.folder}/pid; error_log stderr; events {{ }}\n"
            f"http {{ gzip on; gzip_types *; access_log {self.folder}/access.log; {paths}\n"
            f"include {self.folder}/stile-cache.conf; }}\n"
        )
        self.daemon = Daemon(folder, "/usr/sbin/nginx", "-p", self.folder, "-c", self.folder / "nginx.conf")
        self.daemon.wait_for_port("127.0.0.1", self.port)

    def close(self) -> None:
        self.daemon.close()


@pytest.fixture
def cache(serve, tmp_path: Path) -> Iterator[Cache]:
    with closing(Cache(tmp_path)) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def users(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("users") / "users"
    for user, password in PASSWORDS.items():
        add_user(file, user, password, "staff")
    return file


@pytest.fixture
def site(serve) -> Iterator[Callable[..., HttpOrigin]]:
    """Makes origins whose answer to each request is another one, with the fields that they are given."""
    with ExitStack() as stack:

        def make(*fields: str, **where) -> HttpOrigin:
            def answer(connection: socket.socket, request: Request) -> bool:
                body = f"{len(far.requests)} {request.field('Host')} {request.path}".encode() * 50
                head = ["HTTP/1.1 200 OK", "Content-Type: text/plain", f"Content-Length: {len(body)}", *fields, "", ""]
                connection.sendall("\r\n".join(head).encode() + (b"" if request.line.startswith("HEAD ") else body))
                return True

            far = stack.enter_context(closing(HttpOrigin(answer, **where)))
            return far

        yield make


@pytest.fixture
def through(serve, cache: Cache, users: Path) -> Callable[..., Server]:
    """Stile with the example's configuration; what the example calls public are the targets of the test."""

    def start(targets: str) -> Server:
        text = put((EXAMPLES / "nginx-cache.toml").read_text(), "127.0.0.1:1080", "127.0.0.1:PORT")
        text = put(put(text, '"users"', f'"{users}"'), "127.0.0.1:8080", f"127.0.0.1:{cache.port}")
        return serve(config=put(text, "public:80", targets).replace("to public\n", "to 127.0.0.77\n"))

    return start


def curl(server: Server, url: str, *words: object, user: str = "alice", scheme: str = "http", code: str = "200") -> str:
    """What it fetches, through Stile; `code` is the status that it must be told."""
    proxy = "{}://{}:{}".format(scheme, *server.proxy)
    result = run("curl", "-sS", "-g", "--noproxy", "", "-x", proxy, "-U", f"{user}:{PASSWORDS[user]}", "-w", " %{http_code}", *words, url)
    body, _, told = result.stdout.rpartition(" ")
    assert told == code, result.stderr
    return body


def outcomes(server: Server, count: int) -> list[object]:
    """What the first `count` records of requests that were served say of the cache."""

    def ends() -> list[dict]:
        return [record for record in server.records() if record["event"] == "session.end"]

    wait_until(f"there are {count} records", lambda: len(ends()) >= count)
    return [record.get("cache") for record in ends()]


# --- hits and misses ----------------------------------------------------------------------------------------------


def test_the_second_fetch_is_a_hit_and_the_record_says_so(through, cache: Cache, site) -> None:
    far = site(FRESH)
    server = through(f"127.0.0.1:{far.port}")
    assert curl(server, f"{far.url}/page") == curl(server, f"{far.url}/page")
    assert outcomes(server, 2) == ["miss", "hit"]
    assert len(far.requests) == 1
    end = server.wait_for_record(event="session.end", cache="hit")
    assert end["command"] == "forward" and end["route"] == f"cache (127.0.0.1:{cache.port})" and end["rule"] == "plain"
    assert not [record for record in server.records() if record["event"] == "session.start" and "cache" in record]


def test_two_users_share_it(through, site) -> None:
    far = site(FRESH)
    server = through(f"127.0.0.1:{far.port}")
    assert curl(server, f"{far.url}/page", user="alice") == curl(server, f"{far.url}/page", user="bob")
    assert server.wait_for_record(event="session.end", user="bob")["cache"] == "hit"
    assert len(far.requests) == 1


def test_another_path_or_host_is_a_miss(through, site) -> None:
    far, other = site(FRESH), site(FRESH)
    server = through(f"127.0.0.1:{far.port},127.0.0.1:{other.port}")
    urls = [f"{far.url}/a", f"{far.url}/b", f"{far.url}/a?x", f"{other.url}/a"]
    assert len({curl(server, url) for url in urls}) == 4
    assert [curl(server, url) for url in urls] == [curl(server, url) for url in urls]
    assert outcomes(server, 12) == ["miss"] * 4 + ["hit"] * 8
    assert len(far.requests) == 3 and len(other.requests) == 1


def test_names_at_one_address_are_told_apart(through, site) -> None:
    """Two requests on one kept connection as well: the second one is for another name."""
    far = site(FRESH)
    server = through(f"localhost:{far.port}, 127.0.0.1:{far.port}")
    by_name = curl(server, f"http://localhost:{far.port}/")
    assert by_name.startswith(f"1 localhost:{far.port} /")
    assert curl(server, f"{far.url}/").startswith(f"2 127.0.0.1:{far.port} /")
    assert curl(server, f"http://localhost:{far.port}/") == by_name


@pytest.mark.parametrize("fields", [("Cache-Control: no-store",), ("Cache-Control: private, max-age=600",), (FRESH, "Set-Cookie: a=b"), ()])
def test_what_an_origin_does_not_give_to_all_is_never_stored(through, site, fields: tuple[str, ...]) -> None:
    far = site(*fields)
    server = through(f"127.0.0.1:{far.port}")
    assert curl(server, f"{far.url}/page") != curl(server, f"{far.url}/page")
    assert outcomes(server, 2) == ["miss", "miss"]
    assert len(far.requests) == 2


def test_what_a_client_keeps_for_itself_is_neither_stored_nor_answered_from_what_is(through, site) -> None:
    far = site(FRESH)
    server = through(f"127.0.0.1:{far.port}")
    secret = ("-H", "Authorization: Basic eDp5")
    assert curl(server, f"{far.url}/page", *secret).startswith("1 ")
    assert curl(server, f"{far.url}/page").startswith("2 ")
    assert curl(server, f"{far.url}/page", *secret).startswith("3 ")
    assert curl(server, f"{far.url}/page").startswith("2 ")
    assert curl(server, f"{far.url}/new", "-H", "Cache-Control: no-store").startswith("4 ")
    assert curl(server, f"{far.url}/new").startswith("5 ")
    assert curl(server, f"{far.url}/new", "-H", "Cache-Control: no-cache").startswith("6 ")
    assert outcomes(server, 7) == ["request", "miss", "request", "hit", "request", "miss", "request"]


def test_other_methods_pass(through, site) -> None:
    far = site(FRESH)
    server = through(f"127.0.0.1:{far.port}")
    assert curl(server, f"{far.url}/page", "-d", "sent").startswith("1 ")
    assert far.requests[0].body == b"sent"
    assert curl(server, f"{far.url}/page").startswith("2 ")
    curl(server, f"{far.url}/page", "-I")
    assert outcomes(server, 3) == ["method", "miss", "hit"] and len(far.requests) == 2


def test_what_is_stale_is_asked_for_again(through, site) -> None:
    """With its validator: where the origin says 304, nothing is sent twice."""
    far = site("Cache-Control: max-age=1", 'ETag: "one"')
    server = through(f"127.0.0.1:{far.port}")
    first, whole = curl(server, f"{far.url}/page"), far.answer
    far.answer = lambda connection, request: (
        connection.sendall(b'HTTP/1.1 304 Not Modified\r\nETag: "one"\r\nCache-Control: max-age=600\r\n\r\n') or True
        if request.field("If-None-Match") == '"one"'
        else whole(connection, request)
    )

    def asked_again() -> bool:
        assert curl(server, f"{far.url}/page") == first
        return len(far.requests) == 2

    wait_until("a second has passed", asked_again)
    server.wait_for_record(event="session.end", cache="stale")
    assert curl(server, f"{far.url}/page") == first and len(far.requests) == 2


def test_everything_passes_as_it_was_sent(through, site) -> None:
    """Not compressed, not renamed, not redirected: what nginx does for sites of its own stays away."""
    far = site(FRESH, "Server: far", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "X-Accel-Redirect: /secret", "Location: http://127.0.0.1/x")
    server = through(f"127.0.0.1:{far.port}")
    path = "/a//b/%2e%2e/c%2Fd?e=%20"
    text = curl(server, f"{far.url}{path}", "--path-as-is", "-i", "-H", "Accept-Encoding: gzip", "-H", "under_score: 1")
    head, _, body = text.partition("\n\n")  # the lines' ends are Python's own here
    assert body == f"1 127.0.0.1:{far.port} {path}" * 50
    for field in ("Server: far", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Location: http://127.0.0.1/x", "Cache-Status: nginx; fwd=miss"):
        assert field in head.splitlines()
    assert "X-Accel" not in head and "Content-Encoding" not in head
    assert far.requests[0].field("under_score") == "1" and far.requests[0].field("X-Forwarded-For") is None


def test_an_ipv6_target(through, site) -> None:
    far = site(FRESH, host="::1")
    server = through(f"[::1]:{far.port}")
    url = f"http://[::1]:{far.port}/page"
    assert curl(server, url) == curl(server, url)
    assert outcomes(server, 2) == ["miss", "hit"] and len(far.requests) == 1


def test_tunnels_use_it_and_their_records_say_nothing_of_it(through, site) -> None:
    """CONNECT, by HTTP and by SOCKS, to where plain HTTP is spoken."""
    far = site(FRESH)
    server = through(f"127.0.0.1:{far.port}")
    for _ in range(2):
        assert curl(server, f"{far.url}/page", "-p", "-H", "Accept-Encoding: gzip").startswith("1 ")
    assert curl(server, f"{far.url}/page", scheme="socks5h").startswith("1 ")
    assert len(far.requests) == 1
    assert outcomes(server, 3) == [None] * 3


def test_an_upgrade_becomes_a_tunnel(through, site) -> None:
    far = site()

    def answer(connection: socket.socket, request: Request) -> bool:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        echo(connection)
        return False

    far.answer = answer
    server = through(f"127.0.0.1:{far.port}")
    client = ask(server.proxy, f"GET {far.url}/ HTTP/1.1\r\nHost: x\r\n{LOGIN}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    reader = Reader(client)
    assert b"101 Switching" in reader.until(b"\r\n\r\n")
    client.sendall(b"over the stile")
    assert reader.take(14) == b"over the stile"
    client.close()


# --- what it must not be good for -----------------------------------------------------------------------------------


def test_it_leads_nowhere_that_policy_denies(through, site) -> None:
    """Neither by asking, nor by a Host, absolute or not, inside a tunnel to somebody else."""
    far, inner = site("Cache-Control: no-store"), site(FRESH, host="127.0.0.66")
    server = through(f"127.0.0.1:{far.port}")
    curl(server, f"{inner.url}/page", code="403")
    assert server.wait_for_record(event="denied")["target"] == f"127.0.0.66:{inner.port}"
    lies = (
        f"GET /page HTTP/1.1\r\nHost: 127.0.0.66:{inner.port}\r\n\r\n",
        f"GET {inner.url}/page HTTP/1.1\r\nHost: 127.0.0.66:{inner.port}\r\n\r\n",
        f"GET {inner.url}/page HTTP/1.1\r\nHost: x\r\nX-Accel-Redirect: {inner.url}\r\n\r\n",
    )
    for number, lie in enumerate(lies):
        client = ask(server.proxy, f"CONNECT 127.0.0.1:{far.port} HTTP/1.1\r\nHost: x\r\n{LOGIN}\r\n\r\n")
        reader = Reader(client)
        assert reader.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        client.sendall(lie.encode())
        assert receive_response(reader).body.startswith(b"%d " % (number + 1))
        client.close()
    assert len(far.requests) == 3 and not inner.peers


def test_a_tunnel_to_a_server_of_ones_own_does_not_poison_it(through, site) -> None:
    """What bob's server says under alice's bank's name is stored for nobody but those who go to bob's server."""
    bank, bobs = site(FRESH), site(FRESH, host="127.0.0.55")
    bobs.answer = lambda connection, request: connection.sendall(
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 6\r\n\r\nforged"
    ) or True  # fmt: skip
    server = through(f"127.0.0.1:{bank.port},127.0.0.55:{bobs.port}")
    target = f"127.0.0.55:{bobs.port}"
    resolved = ("-H", f"Host: 127.0.0.1:{bank.port}")
    assert curl(server, f"http://{target}/page", "-p", *resolved, user="bob") == "forged"
    assert bobs.requests[0].field("Host") == f"127.0.0.1:{bank.port}"
    assert curl(server, f"{bank.url}/page").startswith("1 ")
    assert curl(server, f"{bank.url}/page", "-p").startswith("1 ")


def test_an_origin_does_not_speak_for_the_cache(through, site) -> None:
    """Neither behind the cache, nor where there is none."""
    far = site("Cache-Status: nginx; hit", "Cache-Control: no-store")
    direct = site("Cache-Status: nginx; hit", host="127.0.0.77")
    server = through(f"127.0.0.1:{far.port}")
    told = curl(server, f"{far.url}/page", "-i").splitlines()
    assert [line for line in told if line.startswith("Cache-Status")] == ["Cache-Status: nginx; fwd=miss"]
    assert "Cache-Status: nginx; hit" in curl(server, f"{direct.url}/page", "-i")
    assert outcomes(server, 2) == ["miss", None]
    assert server.wait_for_record(event="session.end", route="direct")["rule"] == "other"


# --- a cache that says something else, and none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "recorded"),
    [
        ("Cache-Status: far; hit, near; fwd=uri-miss", "uri-miss"),
        ("Cache-Status: far; hit\r\nCache-Status: near; fwd=partial", "partial"),
        ("Cache-Status: near; fwd=\"hit\\\"", None),
        ("Cache-Status: near; fwd=" + "x" * 4000, None),
        ("X-Cache: HIT", None),
    ],
)
def test_the_record_has_a_word_of_the_rfc_or_none(serve, said: str, recorded: str | None) -> None:
    """A service that is no nginx: what it says is read as RFC 9211 says, or not at all."""

    def service(connection: socket.socket) -> None:
        reader = Reader(connection)
        head = reader.take(16)
        assert head.startswith(b"\r\n\r\n\0\r\nQUIT\n\x21")
        reader.take(int.from_bytes(head[14:], "big"))
        reader.request()
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{said}\r\n\r\n".encode())
        connection.recv(1)

    with closing(Origin(service)) as near:
        server = serve(
            config=f'[[listen]]\naddress = "127.0.0.1:PORT"\n[[upstream]]\nname = "cache"\n'
            f'servers = ["proxy-protocol://127.0.0.1:{near.port}"]\n[policy]\nrules = "allow anyone to 127.0.0.1:9 via cache"\n'
        )
        client = ask(server.proxy, "GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert receive_response(Reader(client)).status == 200
        assert outcomes(server, 1) == [recorded]
        client.close()


def test_where_it_is_stopped_the_client_and_the_record_are_told(through, cache: Cache, site) -> None:
    far = site(FRESH)
    server = through(f"127.0.0.1:{far.port}")
    curl(server, f"{far.url}/page")
    cache.close()
    curl(server, f"{far.url}/page", code="502")
    error = server.wait_for_record(event="error", reason="upstream.failed")
    assert error["target"] == f"127.0.0.1:{far.port}" and "cache" not in error
    assert len(far.requests) == 1


def test_an_origin_that_is_gone_is_the_caches_502(through) -> None:
    port = free_port()
    server = through(f"127.0.0.1:{port}")
    curl(server, f"http://127.0.0.1:{port}/", code="502")
    assert outcomes(server, 1) == ["miss"]


def test_the_example_is_accepted_as_it_is(tmp_path: Path, users: Path) -> None:
    """By `stile check`, once there are users."""
    text = (EXAMPLES / "nginx-cache.toml").read_text()
    (tmp_path / "stile.toml").write_text(put(text, '"users"', f'"{users}"'))
    checked = stile("check", "--config", tmp_path / "stile.toml")
    assert checked.returncode == 0, checked.stderr
