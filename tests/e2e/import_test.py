"""`stile import`: the same questions to a danted and to the Stile that was made of its file."""

import socket
from collections.abc import Callable
from contextlib import closing

import pytest
import raw_socks
from networks import Namespace
from processes import free_port, stile
from web import WebServer

BAD_CONFIGURATION = 78

PUBLIC, OTHER, INSIDE = "8.8.8.8", "8.8.4.4", "10.20.0.1"
PORTS = [80, 8050, 49200]

FILES = {
    "everything": "socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect }}",
    "one network": "socks pass {{ from: 0.0.0.0/0 to: 10.20.0.0/255.255.0.0 command: connect }}",
    "ports": "socks pass {{ from: 0/0 to: 0/0 port = 8000-8099 }}\nsocks pass {{ from: 0/0 to: 8.8.4.4/32 port gt 49151 }}",
    "a block in front": (
        "socks block {{ from: 0/0 to: 8.8.8.0/24 port neq 80 }}\n"
        "socks pass {{ from: 0/0 to: 10.0.0.0/8 port = http }}\nsocks pass {{ from: 0/0 to: 0/0 }}"
    ),
    "other clients": "socks pass {{ from: 192.168.0.0/16 to: 0/0 }}\nsocks pass {{ from: 127.0.0.0/8 to: 8.8.8.8 port le 80 }}",
    "blocked for this one": "socks block {{ from: 127.0.0.1/32 to: 8.8.4.4 }}\nsocks pass {{ from: 127.0.0.0/8 to: 0/0 }}",
}


def answers(proxy: tuple[str, int]) -> dict[tuple[str, int], bool]:
    found = {}
    for host in (PUBLIC, OTHER, INSIDE):
        for port in PORTS:
            connection, reply = raw_socks.ask(proxy, raw_socks.request(host, port))
            connection.close()
            found[host, port] = reply.code == 0
    return found


@pytest.mark.parametrize("name", FILES)
def test_both_servers_decide_alike(serve, daemon: Callable, lone_host: Namespace, tmp_path, name: str) -> None:
    for address in (PUBLIC, OTHER, INSIDE):
        lone_host.run("ip", "address", "add", address, "dev", "lo")
    with lone_host.inside():
        port = free_port("127.0.0.1")
        file = tmp_path / "danted.conf"
        file.write_text(
            f"logoutput: {tmp_path}/danted.log\ninternal: 127.0.0.1 port = {port}\nexternal: lo\nexternal.rotation: route\n"
            "clientmethod: none\nsocksmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n"
            "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n" + FILES[name].format() + "\n"
        )
        imported = stile("import", file)
        assert imported.returncode == 0, imported.stderr
        assert f'address = "127.0.0.1:{port}"' in imported.stdout
        listeners = [socket.create_server((host, at)) for host in (PUBLIC, OTHER, INSIDE) for at in PORTS]
        dante = daemon(*lone_host.prefix(), "danted", "-f", file)
        dante.wait_for_port("127.0.0.1", port)
        expected = answers(("127.0.0.1", port))
        server = serve(config=imported.stdout.replace(f"127.0.0.1:{port}", "127.0.0.1:PORT"), namespace=lone_host)
        found = answers(server.proxy)
        for listener in listeners:
            listener.close()
    if name in ("everything", "ports", "a block in front"):  # what is inside must be named
        expected |= {place: False for place in expected if place[0] == INSIDE and "10.0.0.0/8" not in FILES[name]}
        expected |= {(INSIDE, port): False for port in PORTS if port != 80}
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
