"""`stile import`: the same questions to a danted and to the Stile that was made of its file."""

import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import raw_socks
from networks import Lab
from processes import free_port, stile

BAD_CONFIGURATION = 78

PUBLIC, OTHER, INSIDE = "8.8.8.8", "8.8.4.4", "10.20.0.1"
PLACES = [(host, port) for host in (PUBLIC, OTHER, INSIDE) for port in (80, 8050, 49200)]

FILES = {
    "everything": "socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect }",
    "one network": "socks pass { from: 0.0.0.0/0 to: 10.20.0.0/16 command: connect }",
    "ports": (
        "socks pass { from: 0.0.0.0/0 to: 8.8.8.0/24 port 8000-8099 }\n"
        "socks pass { from: 0.0.0.0/0 to: 8.8.4.4/32 port gt 49151 }"
    ),
    "a block in front": (
        "socks block { from: 0.0.0.0/0 to: 8.8.8.0/24 port ne 80 }\n"
        "socks pass { from: 0.0.0.0/0 to: 10.0.0.0/8 port = http }\n"
        "socks pass { from: 0.0.0.0/0 to: 8.0.0.0/8 }"
    ),
    "other clients": (
        "socks pass { from: 192.168.0.0/16 to: 0.0.0.0/0 }\nsocks pass { from: 127.0.0.0/8 to: 8.8.8.8/32 port le 80 }"
    ),
    "blocked for this one": (
        "socks block { from: 127.0.0.1/32 to: 8.8.4.4/32 }\nsocks pass { from: 127.0.0.0/8 to: 8.0.0.0/8 }"
    ),
}
# Where Dante reaches what is inside through 0.0.0.0/0, which Stile opens only by its name.
NARROWER = {"everything"}


def answers(proxy: tuple[str, int]) -> dict[tuple[str, int], bool]:
    found = {}
    for place in PLACES:
        connection, reply = raw_socks.ask(proxy, raw_socks.request(*place))
        connection.close()
        found[place] = reply.code == 0
    return found


@pytest.mark.parametrize("name", FILES)
def test_both_servers_decide_alike(serve, daemon: Callable, lab: Lab, tmp_path, name: str) -> None:
    proxy, far = lab.host("proxy"), lab.host("far")
    lab.cable(proxy, ["10.98.0.1/24"], far, ["10.98.0.2/24"])
    proxy.run("ip", "route", "add", "default", "via", "10.98.0.2")
    for address in (PUBLIC, OTHER, INSIDE):
        far.run("ip", "address", "add", address, "dev", "lo")
    with ExitStack() as listeners:
        with far.inside():
            for place in PLACES:
                listeners.enter_context(socket.create_server(place))
        with proxy.inside():
            port = free_port()
            file = tmp_path / "danted.conf"
            file.write_text(
                f"logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: 10.98.0.1\n"
                "clientmethod: none\nsocksmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n"
                f"client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}\n{FILES[name]}\n"
            )
            imported = stile("import", file)
            assert imported.returncode == 0, imported.stderr
            daemon(*proxy.prefix(), "danted", "-f", file).wait_for_port("127.0.0.1", port)
            expected = answers(("127.0.0.1", port))
            server = serve(config=imported.stdout.replace(f"127.0.0.1:{port}", "127.0.0.1:PORT"), namespace=proxy)
            found = answers(server.proxy)
    assert any(expected.values()), "Dante lets nothing through"
    if name in NARROWER:
        expected |= {place: False for place in PLACES if place[0] == INSIDE}
    assert found == expected


def test_what_needs_a_look_is_told_by_line(tmp_path) -> None:
    file = tmp_path / "danted.conf"
    file.write_text("internal: eth0 port = 1080\nclient pass { from: 0/0 to: 0/0 }\nsocks pass { from: eth1 to: 0/0 }\n")
    imported = stile("import", file)
    assert imported.returncode == 0
    assert [line.split(": ")[0] for line in imported.stderr.splitlines()] == [f"{file}:1", f"{file}:3"]
    file.write_text("client pass { from: 0/0\n")
    broken = stile("import", file)
    assert broken.returncode == BAD_CONFIGURATION and broken.stderr.startswith(f"{file}:1:1: ")
    missing = stile("import", tmp_path / "none")
    assert missing.returncode == 1 and "cannot read" in missing.stderr
