"""`stile forward`: listeners of this host whose clients reach one target through the proxy, each octet and each end."""

import json
import os
import signal
import socket
import stat
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import chains
import pytest
import traffic
from certificates import Authority
from chains import url
from origins import Origin, echo
from processes import BINARY, ENVIRONMENT, free_port, run, stile, wait_until
from ssh_site import start_sshd
from web import PAGE, WebServer

EVERYTHING = chains.configuration()
USERS = """
[[listen]]
address = "127.0.0.1:PORT"
protocols = ["socks5", "http"]
auth = ["password"]
{tls}
[users]
file = "users"
[policy]
rules = '''
yes: allow alice to loopback
'''
"""


def connected(place: tuple[str, int]) -> socket.socket:
    client = socket.create_connection(place, 20)
    client.settimeout(20)
    return client


# --- What it carries ---


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a", "socks4", "http"])
def test_streams_and_their_ends(serve, forward, origin, scheme: str) -> None:
    far, server = origin(), serve(config=EVERYTHING)
    one = forward(f"0=127.0.0.1:{far.port}", via=[url(server.proxy, scheme)])
    (place,) = one.places()
    assert place == (place.address, "tcp", f"127.0.0.1:{far.port}") and place.endpoint[0] == "127.0.0.1"
    with connected(place.endpoint) as client:
        chains.exchange(client, far.accept())
    assert server.wait_for_record(event="session.end")["target"] == f"127.0.0.1:{far.port}"
    assert one.errors().count("\n") == 0 or scheme in one.errors()


def test_half_closes_in_both_orders(serve, forward, origin) -> None:
    far, server = origin(), serve(config=EVERYTHING)
    one = forward(f"0=127.0.0.1:{far.port}", via=[url(server.proxy)])
    (place,) = one.places()
    for client_first in (True, False):
        with connected(place.endpoint) as client:
            ends = (client, far.accept())
            first, second = ends if client_first else reversed(ends)
            for seed, (speaker, hearer) in enumerate(((first, second), (second, first))):
                sent = traffic.in_thread(traffic.send, speaker, seed, chains.SIZE)
                assert traffic.receive(hearer, chains.SIZE) == sent.result(60)
                speaker.shutdown(socket.SHUT_WR)
                traffic.expect_end(hearer)


def test_resets_travel(serve, forward, origin) -> None:
    far, server = origin(), serve(config=EVERYTHING)
    (place,) = forward(f"0=127.0.0.1:{far.port}", via=[url(server.proxy)]).places()
    client = connected(place.endpoint)
    client.sendall(b"x")
    other = far.accept()
    assert other.recv(1) == b"x"
    traffic.reset(client)
    traffic.expect_reset(other)
    with connected(place.endpoint) as client:
        client.sendall(b"x")
        other = far.accept()
        assert other.recv(1) == b"x"
        traffic.reset(other)
        traffic.expect_reset(client)


def test_names_are_the_proxys_to_look_up(lone_host, serve, forward, origin) -> None:
    """With socks5h the name arrives; with socks5 an address does, and a warning is said."""
    lone_host.file("hosts", "127.0.0.1 localhost web.example\n")
    with lone_host.inside():
        far, server = origin(echo), serve(config=EVERYTHING, namespace=lone_host)
        by_name = forward(f"0=web.example:{far.port}", via=[url(server.proxy)], namespace=lone_host)
        by_address = forward(f"0=web.example:{far.port}", via=[url(server.proxy, "socks5")], namespace=lone_host)
        for one in (by_name, by_address):
            with connected(one.places()[0].endpoint) as client:
                client.sendall(b"hello")
                assert client.recv(5) == b"hello"
        server.wait_for_record(event="session.end", target=f"web.example:{far.port}")
        server.wait_for_record(event="session.end", target=f"127.0.0.1:{far.port}")
        assert by_name.errors() == ""
        assert "names are looked up here" in by_address.errors()


def test_several_at_once_curl_and_ssh(serve, forward, daemon, tmp_path: Path) -> None:
    server = serve(config=EVERYTHING)
    sshd, options = start_sshd(daemon, tmp_path / "sshd")
    with closing(WebServer("127.0.0.1")) as web:
        one = forward(f"0=localhost:{web.port}", f"0=127.0.0.1:{sshd}", via=[url(server.proxy)])
        first, second = one.places(2)
        assert [first.target, second.target] == [f"localhost:{web.port}", f"127.0.0.1:{sshd}"]
        page = run("curl", "--silent", "--show-error", f"http://{first.address}/")
        assert (page.returncode, page.stdout) == (0, PAGE.decode())
        host, port = second.endpoint
        said = run("ssh", *options, "-p", port, host, "echo from the other side")
        assert said.stdout == "from the other side\n"


def test_a_port_alone_is_both_loopbacks(serve, forward, origin) -> None:
    far, server, port = origin(echo), serve(config=EVERYTHING), free_port()
    one = forward(f"{port}=127.0.0.1:{far.port}", via=[url(server.proxy)])
    assert [place.address for place in one.places(2)] == [f"127.0.0.1:{port}", f"[::1]:{port}"]
    for host in ("127.0.0.1", "::1"):
        with connected((host, port)) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"


def test_a_unix_domain_socket(serve, forward, origin, tmp_path: Path) -> None:
    """Only its user may connect, and its file goes with it."""
    far, server, path = origin(), serve(config=EVERYTHING), tmp_path / "a=b.sock"
    one = forward(f"unix:{path}=127.0.0.1:{far.port}", via=[url(server.proxy)])
    assert one.places()[0].address == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        chains.exchange(client, far.accept())
    assert one.interrupt() == 0
    assert not path.exists()


def test_a_chain_of_three(serve, forward, origin) -> None:
    far, hops = origin(), [serve(config=EVERYTHING) for _ in range(3)]
    one = forward(f"0=127.0.0.1:{far.port}", via=[url(hop.proxy, scheme) for hop, scheme in zip(hops, ("socks5h", "http", "socks4a"))])
    with connected(one.places()[0].endpoint) as client:
        chains.exchange(client, far.accept())
    for hop, following in zip(hops, hops[1:]):
        hop.wait_for_record(event="session.end", target="{}:{}".format(*following.proxy))
    hops[2].wait_for_record(event="session.end", target=f"127.0.0.1:{far.port}")


@pytest.mark.parametrize("scheme", ["socks5h+tls", "https"])
def test_inside_tls_with_a_password(serve, forward, origin, tmp_path: Path, scheme: str) -> None:
    ca = Authority(tmp_path / "ca")
    config = USERS.format(tls=chains.secured(ca, "server")).replace('"users"', f'"{tmp_path}/users"')
    assert stile("user", "add", "alice", "--file", tmp_path / "users", input="secret\n").returncode == 0
    far, server = origin(), serve(config=config)
    secret = chains.secret(tmp_path, "secret", "secret")
    words = ["--ca", ca.certificate, "--password-file", secret, f"0=127.0.0.1:{far.port}"]
    one = forward(*words, via=[url(server.proxy, scheme, "alice@")])
    with connected(one.places()[0].endpoint) as client:
        chains.exchange(client, far.accept())
    assert server.wait_for_record(event="session.end")["user"] == "alice"


def test_five_hundred_at_once(serve, forward) -> None:
    server = serve(config=EVERYTHING)
    with closing(Origin()) as far, ExitStack() as stack:
        one = forward(f"0=127.0.0.1:{far.port}", via=[url(server.proxy)])
        (place,) = one.places()
        at_rest = one.sockets()
        clients = [stack.enter_context(connected(place.endpoint)) for _ in range(500)]
        for number, client in enumerate(clients):
            client.sendall(number.to_bytes(4, "big") * 1000)
        others = {}
        for _ in clients:
            other = far.accept()
            others[int.from_bytes(other.recv(4, socket.MSG_WAITALL), "big")] = other
        assert sorted(others) == list(range(500))
        for number, other in others.items():
            assert other.recv(3996, socket.MSG_WAITALL) == number.to_bytes(4, "big") * 999
            other.sendall(number.to_bytes(4, "big"))
        for number, client in enumerate(clients):
            assert int.from_bytes(client.recv(4, socket.MSG_WAITALL), "big") == number
        for end in [*clients, *others.values()]:
            end.close()
        wait_until("the sockets are given back", lambda: one.sockets() == at_rest)


def test_no_descriptor_is_left_when_there_are_none(serve, forward) -> None:
    """Clients beyond the limit are turned away; those that are in stay so, and all is given back."""
    server = serve(config=EVERYTHING)
    with closing(Origin(echo)) as far, ExitStack() as stack:
        one = forward(f"0=127.0.0.1:{far.port}", via=[url(server.proxy)], descriptors=64)
        (place,) = one.places()
        at_rest = one.sockets()
        first = connected(place.endpoint)
        crowd = [stack.enter_context(connected(place.endpoint)) for _ in range(100)]

        def is_served(client: socket.socket) -> bool:
            try:
                client.sendall(b"hello")
                return client.recv(5, socket.MSG_WAITALL) == b"hello"
            except ConnectionError:
                return False

        served = [is_served(client) for client in crowd]
        assert 10 < sum(served) < 32
        assert is_served(first)
        for client in [first, *crowd]:
            client.close()
        wait_until("the sockets are given back", lambda: one.sockets() == at_rest)
        with connected(place.endpoint) as client:
            assert is_served(client)


# --- What is said ---


def failing(place: tuple[str, int]) -> None:
    """What fails is a reset to the client, perhaps before it knows of its connection."""
    try:
        client = connected(place)
    except ConnectionResetError:
        return
    with client:
        traffic.expect_reset(client)


def test_failures_are_a_line_each(serve, forward, tmp_path: Path) -> None:
    nobody = free_port()
    rules = chains.configuration(rule="allow anyone from loopback to tcp 127.0.0.1")
    server = serve(config=rules)
    one = forward(f"0=127.0.0.1:{nobody}", "0=127.0.0.9:80", "0=name.invalid:80", via=[url(server.proxy)])
    refused, denied, unknown = (place.endpoint for place in one.places(3))
    failing(refused)
    assert one.wait_for_error(f"stile: cannot reach 127.0.0.1:{nobody} for 127.0.0.1:").endswith(": the target refuses the connection")
    failing(denied)
    assert "rules" in one.wait_for_error("127.0.0.9:80")
    failing(unknown)
    one.wait_for_error("name.invalid:80")
    assert one.errors().count("\n") == 3


def test_a_proxy_that_is_not_there(forward) -> None:
    port = free_port()
    one = forward("0=www.example:80", via=[f"socks5h://127.0.0.1:{port}"])
    for _ in range(2):
        failing(one.places()[0].endpoint)
    assert "nobody listens there" in one.wait_for_error("cannot reach www.example:80", f"127.0.0.1:{port}")


def test_it_finds_the_proxy_again(serve, forward, origin) -> None:
    far, port = origin(echo), free_port()
    one = forward(f"0=127.0.0.1:{far.port}", via=[f"socks5h://127.0.0.1:{port}"])
    failing(one.places()[0].endpoint)
    serve(config=EVERYTHING, port=port)

    def works() -> bool:
        with connected(one.places()[0].endpoint) as client:
            try:
                client.sendall(b"hello")
                return client.recv(5) == b"hello"
            except OSError:
                return False

    wait_until("it leads there again", works)


def test_json(serve, forward, origin) -> None:
    far, server, nobody = origin(echo), serve(config=EVERYTHING), free_port()
    one = forward("--json", f"0=127.0.0.1:{far.port}", f"0=127.0.0.1:{nobody}", via=[url(server.proxy)])
    wait_until("both listen", lambda: len(one.lines()) >= 2)
    good, bad = (json.loads(line) for line in one.lines()[:2])
    assert good["event"] == "listening" and good["kind"] == "tcp" and good["target"] == f"127.0.0.1:{far.port}"
    with connected(("127.0.0.1", int(good["address"].rpartition(":")[2]))) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
    failing(("127.0.0.1", int(bad["address"].rpartition(":")[2])))
    events: list[dict] = []

    def ended() -> bool:
        events[:] = [json.loads(line) for line in one.lines()]
        return {"session.end", "error"} <= {event["event"] for event in events}

    wait_until("the events", ended)
    end = next(event for event in events if event["event"] == "session.end")
    assert (end["bytes_up"], end["bytes_down"], end["listener"]) == (5, 5, good["address"])
    assert next(event for event in events if event["event"] == "error")["reason"] == "upstream.refused"


def test_verbose(serve, forward, origin) -> None:
    far, server = origin(echo), serve(config=EVERYTHING)
    one = forward("-v", f"0=127.0.0.1:{far.port}", via=[url(server.proxy)], environment={"NO_PROXY": "*"})
    with connected(one.places()[0].endpoint) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
    one.wait_for_error("session.start", f'target="127.0.0.1:{far.port}"')
    one.wait_for_error("session.end", "bytes_up=5")
    assert f"stile: through {url(server.proxy)}\n" in one.errors() and "NO_PROXY is not followed" in one.errors()


def test_an_output_that_nobody_reads_holds_nobody_up(serve, origin) -> None:
    """Standard error is a pipe that is full."""
    server, nobody, far = serve(config=EVERYTHING), free_port(), origin(echo)
    words = ["-v", "--via", url(server.proxy), f"0=127.0.0.1:{far.port}", f"0=127.0.0.1:{nobody}"]
    pipe = subprocess.PIPE
    with subprocess.Popen([str(BINARY), "forward", *words], stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT) as process:
        assert process.stdout and process.stderr
        ports = [int(process.stdout.readline().split()[0].rpartition(":")[2]) for _ in range(2)]
        writer = os.open(f"/proc/self/fd/{process.stderr.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        for _ in range(50):
            failing(("127.0.0.1", ports[1]))
        with connected(("127.0.0.1", ports[0])) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
        process.terminate()
        assert process.wait(30) == 0
        os.close(writer)


# --- How it begins and ends ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(serve, forward, origin, number: int) -> None:
    """With open connections, which hear a reset: none of them is complete."""
    far, server = origin(), serve(config=EVERYTHING)
    one = forward(f"0=127.0.0.1:{far.port}", via=[url(server.proxy)])
    with connected(one.places()[0].endpoint) as client:
        client.sendall(b"x")
        other = far.accept()
        assert other.recv(1) == b"x"
        assert one.interrupt(number) == 0
        traffic.expect_reset(client)
        traffic.expect_reset(other)
    assert one.errors() == ""


def test_a_place_that_is_taken(serve, forward, origin) -> None:
    """Nothing is led anywhere then, and nothing said of the others."""
    far, server, free = origin(), serve(config=EVERYTHING), free_port()
    result = stile("forward", "--via", url(server.proxy), f"{free}=a.example:80", f"127.0.0.1:{far.port}=a.example:80")
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr == f"stile: cannot listen on 127.0.0.1:{far.port}: Address already in use (choose another port)\n"


def test_others_are_warned_of(serve, forward) -> None:
    server = serve(config=EVERYTHING)
    one = forward("0.0.0.0:0=a.example:80", via=[url(server.proxy)])
    one.places()
    one.wait_for_error("warning: whoever reaches 0.0.0.0:0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing is named"),
        (["8080:www.example:80"], "cannot use FORWARD '8080:www.example:80': there is no '='"),
        (["8080=www.example:80/udp", "unix:/x=y.example:1/udp"], "carries no UDP"),
        (["--reverse", "22"], "cannot use --reverse '22': there is no '='"),
        (["--reverse", "0=22", "--from", "a b"], "cannot use --from 'a b'"),
        (["8080=www.example:80", "--via", "socks6://127.0.0.1"], "socks6"),
    ],
)
def test_the_command_line(words: list[str], said: str) -> None:
    via = [] if "--via" in words else ["--via", "socks5h://127.0.0.1:1"]
    result = stile("forward", *via, *words)
    assert result.returncode == 2 and result.stdout == "" and result.stderr.count("\n") == 1
    assert said in result.stderr.replace('"', "'")


def test_the_proxy_of_the_environment(serve, forward, origin) -> None:
    far, server = origin(echo), serve(config=EVERYTHING)
    one = forward(f"0=127.0.0.1:{far.port}", via=[], environment={"ALL_PROXY": url(server.proxy)})
    with connected(one.places()[0].endpoint) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
    assert stile("forward", "0=a.example:80").returncode == 2
