"""What each listener admits, and what the banner and `stile check` say of it."""

import json
from pathlib import Path

import pytest
import raw_socks
from processes import free_port, stile

SOCKS5 = raw_socks.GREETING
SOCKS4 = bytes.fromhex("04 01 0009 7F000001 00")
HTTP = b"CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n"
FIRST = {"socks5": SOCKS5, "socks4": SOCKS4, "http": HTTP}


@pytest.mark.parametrize("admitted", [["socks5"], ["socks4"], ["http"], ["socks5", "socks4"]])
def test_a_protocol_that_is_off_is_closed_without_a_word(serve, admitted: list[str]) -> None:
    server = serve(config=f'[[listen]]\naddress = "127.0.0.1:PORT"\nprotocols = {json.dumps(admitted)}\n')
    for protocol in sorted(set(FIRST) - set(admitted)):
        with raw_socks.dial(server.proxy) as client:
            client.sendall(FIRST[protocol])
            assert raw_socks.receive_all(client) == b""
            server.wait_for_record(reason="proto.off", client="{}:{}".format(*client.getsockname()))
    for protocol in admitted:
        with raw_socks.dial(server.proxy) as client:
            client.sendall(FIRST[protocol])
            assert raw_socks.receive(client, 2) in (b"\x05\x00", b"\x00\x5b", b"HT")


def test_listeners_differ(serve) -> None:
    other = free_port()
    server = serve(
        config=f"""
[[listen]]
address = "127.0.0.1:PORT"
protocols = "socks4"
[[listen]]
address = "127.0.0.1:{other}"
protocols = ["socks5"]
"""
    )
    with raw_socks.dial(server.proxy) as four, raw_socks.dial(("127.0.0.1", other)) as five:
        four.sendall(SOCKS5)
        five.sendall(SOCKS5)
        assert raw_socks.receive_all(four) == b""
        assert raw_socks.receive(five, 2) == raw_socks.METHOD_NONE
    assert f"127.0.0.1:{server.proxy[1]} (SOCKS4)" in server.errors()
    assert f"127.0.0.1:{other} (SOCKS5)" in server.errors()


def test_the_banner_and_check_say_what_is_in_force(serve, tmp_path: Path) -> None:
    text = """
[[listen]]
address = "127.0.0.1:PORT"
proxy_protocol_from = ["10.0.0.5"]
[udp]
ports = "40000-40009"
advertise = "203.0.113.7"
[bind]
ports = "41000-41009"
[[proxy_protocol_to]]
targets = ["192.0.2.1:80"]
[policy]
rules = "allow anyone from 10.0.0.0/8 to public"
"""
    server = serve(config=text)
    for fact in ("PROXY header from 10.0.0.5/32 required", "40000-40009", "203.0.113.7", "41000-41009", "1 target is told"):
        assert fact in server.errors(), fact
    file = tmp_path / "shown.toml"
    file.write_text(text.replace("PORT", "1080"))
    result = stile("check", "--config", file, "--effective")
    assert result.returncode == 0
    for line in (
        'listen[0].proxy_protocol_from = ["10.0.0.5/32"]',
        'udp.ports = "40000-40009"',
        'udp.advertise = ["203.0.113.7"]',
        'udp.filter = "address"  # default',
        'bind.wait = "2m"  # default',
        'proxy_protocol_to[0].targets = ["192.0.2.1/32:80"]',
        "proxy_protocol_to[0].version = 2  # default",
    ):
        assert line in result.stdout, line
    shown = json.loads(stile("check", "--config", file, "--effective", "--json").stdout)
    assert shown["effective"]["listen[0].protocols"]["value"] == ["socks5", "socks4", "http"]
    assert shown["effective"]["proxy_protocol_to[0].version"]["value"] == 2
    file.write_text(text.replace("PORT", "1080").replace("advertise", "advertize"))
    result = stile("check", "--config", file)
    assert result.returncode == 78 and "did you mean 'advertise'?" in result.stderr


def test_a_balanced_loopback_listener_without_sources_is_an_open_proxy(tmp_path: Path) -> None:
    file = tmp_path / "stile.toml"
    listen = '[[listen]]\naddress = "127.0.0.1:1080"\nproxy_protocol_from = "127.0.0.1"\n'
    file.write_text(listen + '[policy]\nrules = "allow anyone to public"\n')
    assert stile("serve", "--config", file).returncode == 78
    file.write_text(listen + '[policy]\nrules = "allow anyone from 10.0.0.0/8 to public"\n')
    assert stile("check", "--config", file).returncode == 0
