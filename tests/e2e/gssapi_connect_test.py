"""Our own client with a Kerberos ticket, `stile connect --via socks5h+gssapi://…`, against our server and a real realm; and what
takes longer than a conversation."""

import hashlib
import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import realm
from datagrams import DatagramEcho
from gssapi_test import config, transfer
from networks import Namespace
from origins import echo
from processes import BINARY, ENVIRONMENT, run, stile
from realm import Realm


def connect(url: str, host: str, port: int, cache: Path | str, *words: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = ENVIRONMENT | {"KRB5CCNAME": str(cache)}
    command = [str(BINARY), "connect", "--via", url, *words, host, str(port)]
    return subprocess.run(command, input=input, capture_output=True, timeout=120, env=environment)


@pytest.mark.parametrize("scheme", ["socks5+gssapi", "socks5h+gssapi"])
def test_through_our_own_client(serve, origin, kerberos: Realm, tickets: Path, scheme: str) -> None:
    server, far = serve(config=config(kerberos)), origin(echo)
    sent = os.urandom(8 << 20)
    result = connect(f"{scheme}://localhost:{server.proxy[1]}", far.host, far.port, tickets, input=sent)
    assert result.returncode == 0, result.stderr
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(sent).digest()
    record = server.wait_for_record(event="session.end", method="gssapi")
    assert (record["user"], record["bytes_up"], record["bytes_down"]) == (f"alice@{realm.NAME}", len(sent), len(sent))


def test_the_service_has_another_name(serve, origin, kerberos: Realm, tickets: Path) -> None:
    server, far = serve(config=config(kerberos, 'service = "socks"')), origin(echo)
    url = f"socks5h+gssapi://localhost:{server.proxy[1]}"
    assert connect(url, far.host, far.port, tickets, "--gss-service", "socks", input=b"hello").stdout == b"hello"
    refused = connect(url, far.host, far.port, tickets)
    assert refused.returncode == 1 and b"it does not take the Kerberos ticket" in refused.stderr, refused.stderr
    server.wait_for_record(event="auth.failed", reason="gss.accept")


def test_without_a_ticket(serve, origin, kerberos: Realm, tmp_path: Path) -> None:
    server, far = serve(config=config(kerberos)), origin(echo)
    result = connect(f"socks5h+gssapi://localhost:{server.proxy[1]}", far.host, far.port, tmp_path / "none")
    assert result.returncode == 1 and b"there is no Kerberos ticket for it (run kinit" in result.stderr, result.stderr


def test_a_proxy_that_has_no_gssapi(serve, origin, kerberos: Realm, tickets: Path) -> None:
    """Nothing is asked for in clear instead."""
    server, far = serve(), origin(echo)
    result = connect(f"socks5h+gssapi://localhost:{server.proxy[1]}", far.host, far.port, tickets)
    assert result.returncode == 1 and not result.stdout and not far.peers
    server.wait_for_record(event="error", reason="method.none")


def test_a_name_beside_the_ticket() -> None:
    result = stile("connect", "--via", "socks5h+gssapi://alice@localhost:1", "192.0.2.1", "80")
    assert result.returncode == 2 and "a Kerberos ticket says who the user is" in result.stderr


def test_a_service_without_a_ticket() -> None:
    result = stile("connect", "--via", "socks5h://localhost:1", "--gss-service", "socks", "192.0.2.1", "80")
    assert result.returncode == 2 and "not asked to take a Kerberos ticket" in result.stderr


ASK = """
import socket, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(20)
for text in ("one", "two"):
    asking.sendto(text.encode(), (sys.argv[1], int(sys.argv[2])))
    print(asking.recv(65536).decode())
"""


def test_datagrams_of_a_command_are_wrapped(serve, lone_host: Namespace, kerberos: Realm, tickets: Path, tmp_path: Path) -> None:
    """`stile run`: the proxy takes no others. The realm is out of reach there, so the ticket is fetched before."""
    kerberos.key("rcmd/127.0.0.1", kerberos.keytab)
    cache = tmp_path / "tickets"
    cache.write_bytes(tickets.read_bytes())
    assert run("kvno", "-c", cache, "rcmd/127.0.0.1").returncode == 0
    far = "10.9.9.10"
    lone_host.run("ip", "address", "add", far, "dev", "lo")
    rules = "allow authenticated to tcp udp bind resolve private, loopback, self"
    server = serve(config=config(kerberos, rules=rules), namespace=lone_host)
    with lone_host.inside(), closing(DatagramEcho(far)) as far_echo:
        via = f"socks5h+gssapi://127.0.0.1:{server.proxy[1]}"
        command = [*lone_host.prefix(), BINARY, "run", "--via", via, "--", "/usr/bin/python3", "-c", ASK, far, far_echo.port]
        result = run(*command, environment={"KRB5CCNAME": str(cache)})
    assert result.stdout == "one\ntwo\n", result.stderr
    record = server.wait_for_record(event="session.end", command="udp-associate")
    assert (record["packets_up"], record["bytes_up"], record["method"]) == (2, 6, "gssapi")


def test_a_gibibyte_at_level_two(serve, origin, kerberos: Realm, tickets: Path) -> None:
    import gssapi_client

    transfer(serve, origin, kerberos, tickets, gssapi_client, 2, 1 << 30)
