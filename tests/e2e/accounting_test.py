"""Accounting through the whole server: exactly once for each session, whatever ends it (decision 9), and `stile usage`."""

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import raw_socks
from datagrams import DatagramEcho
from http_origins import HttpOrigin, Reader, ask, receive_response
from origins import Origin, echo
from processes import free_port, run, stile, wait_until
from server import Server

NOT_ALLOWED = 2


def config(folder: Path, more: str = "", log: str = "session") -> str:
    return (
        f'[[listen]]\naddress = "127.0.0.1:PORT"\n[accounting]\nfile = "{folder}/accounting.db"\ninterim = "1s"\n{more}\n'
        f'[policy]\nrules = """\nweb: allow anyone from 127.0.0.0/8 to tcp udp loopback log {log}\n"""\n'
    )


def query(folder: Path, statement: str) -> list[list[str]]:
    answer = run("sqlite3", "-separator", "|", f"{folder}/accounting.db", statement)
    assert answer.returncode == 0
    return [line.split("|") for line in answer.stdout.splitlines()]


def usage(folder: Path, *arguments: str) -> dict:
    answer = stile("usage", "--json", "--file", f"{folder}/accounting.db", *arguments)
    assert answer.returncode == 0
    return json.loads(answer.stdout)


def test_every_kind_of_session_is_accounted_for_as_recorded(serve, origin, tmp_path: Path) -> None:
    server, far, site, echoes = serve(config=config(tmp_path)), origin(echo), HttpOrigin(), DatagramEcho()
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        client.sendall(bytes(100_000))
        raw_socks.receive(client, 100_000)
    with ask(server.proxy, f"GET {site.url}/length/500 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as client:
        assert receive_response(Reader(client)).status == 200
    with ask(server.proxy, f"CONNECT {far.host}:{far.port} HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        assert Reader(client).until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        client.sendall(b"inside")
        assert raw_socks.receive(client, 6) == b"inside"
    control, reply = raw_socks.ask(server.proxy, raw_socks.request("0.0.0.0", 0, 3))
    with socket.socket(type=socket.SOCK_DGRAM) as client, control:
        client.settimeout(20)
        client.sendto(bytes(3) + raw_socks.address(echoes.host, echoes.port) + b"ten octets", (reply.host, reply.port))
        assert client.recv(100).endswith(b"ten octets")
    _, reply = raw_socks.ask(server.proxy, raw_socks.request("192.0.2.1", 80))
    assert reply.code == 2
    server.wait_for_record(event="denied")
    wait_until("four sessions ended", lambda: sum(r["event"] == "session.end" for r in server.records()) == 4)
    server.finish()
    expected = sorted(
        [r["session"], str(r["bytes_up"]), str(r["bytes_down"]), r.get("reason", "none"), r.get("target", ""), r["rule"], r["client"]]
        for r in server.records()
        if r["event"] == "session.end"
    )
    columns = "session, octets_up, octets_down, reason, target, rule, client"
    assert sorted(query(tmp_path, f"SELECT {columns} FROM sessions")) == expected
    kinds = query(tmp_path, "SELECT kind, count(*) FROM entry WHERE kind <> 'interim' GROUP BY kind ORDER BY kind")
    assert kinds == [["start", "4"], ["stop", "4"]]
    by_rule = usage(tmp_path, "--by", "rule")
    assert by_rule["rows"] == [{"rule": "web"} | by_rule["total"]]
    assert by_rule["total"]["bytes_up"] == sum(int(row[1]) for row in expected)
    assert {row["target"] for row in usage(tmp_path, "--by", "target")["rows"]} == {row[4] for row in expected}
    site.close()
    echoes.close()


def test_an_open_session_is_seen_and_a_crash_loses_it_once(serve, origin, tmp_path: Path) -> None:
    server, far = Server(tmp_path / "crashes", config=config(tmp_path)), origin(echo)
    client = raw_socks.tunnel(server.proxy, far.host, far.port)
    client.sendall(bytes(5_000))
    raw_socks.receive(client, 5_000)
    wait_until("the interim entry is there", lambda: usage(tmp_path)["total"]["bytes_up"] == 5_000)
    table = stile("usage", "--config", server.config_file).stdout.splitlines()
    assert table[0].split() == ["user", "sessions", "up", "down", "total"]
    assert table[1].split() == ["(anonymous)", "1", "5.00", "kB", "5.00", "kB", "10.0", "kB"]
    assert query(tmp_path, "SELECT ended, reason FROM session") == [["", ""]]

    other = stile("serve", "--config", server.config_file, "--listen", f"127.0.0.1:{free_port()}")
    assert other.returncode == 1 and "another server writes it" in other.stderr

    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    client.close()
    for opening in range(2):
        after = serve(config=config(tmp_path))
        assert ("accounted for as lost" in after.errors()) == (opening == 0)
        after.finish()
        assert query(tmp_path, "SELECT reason, octets_up, octets_down FROM session") == [["lost", "5000", "5000"]]
        assert query(tmp_path, "SELECT count(*) FROM entry WHERE kind = 'stop'") == [["1"]]


def carry(server: Server, far: Origin, octets: int) -> None:
    client = raw_socks.tunnel(server.proxy, far.host, far.port)
    client.sendall(bytes(octets))
    raw_socks.receive(client, octets)
    client.close()
    server.wait_for_record(event="session.end", bytes_up=octets)


@pytest.mark.parametrize("ended", ["in order", "killed"])
def test_a_quota_is_known_again_after_a_restart(serve, origin, tmp_path: Path, ended: str) -> None:
    with_quota, far = config(tmp_path, log="session quota 100KB/day"), origin(echo)
    request = raw_socks.request(far.host, far.port)
    before = Server(tmp_path / "before", config=with_quota)
    carry(before, far, 30_000)
    wait_until("it is in the file", lambda: usage(tmp_path)["total"]["bytes_down"] == 30_000)
    if ended == "killed":
        before.process.kill()
        before.process.wait()
    else:
        before.finish()

    after = serve(config=with_quota)
    client = raw_socks.tunnel(after.proxy, far.host, far.port)
    client.sendall(bytes(25_000))
    assert after.wait_for_record(event="session.end")["reason"] == "limit.quota"
    client.close()
    assert raw_socks.ask(after.proxy, request)[1].code == NOT_ALLOWED
    after.finish()


def test_a_quota_given_by_a_reload_counts_what_was_carried_before(serve, origin, tmp_path: Path) -> None:
    server, far = serve(config=config(tmp_path)), origin(echo)
    carry(server, far, 60_000)
    wait_until("it is in the file", lambda: usage(tmp_path)["total"]["bytes_down"] == 60_000)
    server.config_file.write_text(server.config_file.read_text().replace("log session", "quota 100KB/day"))
    server.process.send_signal(signal.SIGHUP)
    wait_until("the server has read it", lambda: "reloaded (generation 1)" in server.errors())
    assert raw_socks.ask(server.proxy, raw_socks.request(far.host, far.port))[1].code == NOT_ALLOWED
    assert server.wait_for_record(event="denied")["reason"] == "limit.quota"


def test_log_none_is_counted_without_its_target(serve, origin, tmp_path: Path) -> None:
    server, far = serve(config=config(tmp_path, log="none"), log="none"), origin(echo)
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        client.sendall(b"four")
        assert raw_socks.receive(client, 4) == b"four"
    wait_until("it is written", lambda: usage(tmp_path)["total"]["bytes_up"] == 4)
    assert usage(tmp_path, "--by", "target")["rows"][0]["target"] == ""


@pytest.mark.parametrize("on_failure", ["drop", "refuse-new"])
def test_a_full_disk_stops_nobody(serve, origin, namespaces, tmp_path: Path, on_failure: str) -> None:
    """A file system of 512 KiB: entries wait in memory until there is room again, and none is lost."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], check=True)
    try:
        server, far = serve(config=config(disk, f'on_failure = "{on_failure}"')), origin(echo)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
        for _ in range(20):
            with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
                client.sendall(b"x")
                assert raw_socks.receive(client, 1) == b"x"
        wait_until("it says that the disk is full", lambda: "cannot write accounting" in server.errors())
        assert server.errors().count("cannot write accounting") == 1
        filler.unlink()
        wait_until("everything is written", lambda: usage(disk)["total"] == {"sessions": 20, "bytes_up": 20, "bytes_down": 20})
        wait_until("it says so", lambda: "takes entries again" in server.errors())
        server.finish()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("arguments", [
    ("--by", "client"), ("--since", "tomorrow"), ("--since", "2026-11-02", "--until", "2026-11-01"), (),
])  # fmt: skip
def test_usage_says_what_it_does_not_understand(arguments) -> None:
    answer = stile("usage", *arguments)
    assert answer.returncode == 2 and answer.stdout == "" and answer.stderr.startswith("stile: ")


def test_usage_of_no_file(tmp_path: Path) -> None:
    answer = stile("usage", "--file", tmp_path / "none.db")
    assert answer.returncode == 1 and "cannot read" in answer.stderr
    assert not list(tmp_path.iterdir())
