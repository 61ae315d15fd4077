"""The configured ceilings, each exceeded by one."""

import raw_socks
from origins import echo
from processes import wait_until

GENERAL_FAILURE = 1


def test_one_session_too_many_is_told_so_and_room_is_used_again(serve, origin) -> None:
    target = origin(echo)
    server = serve(config='[[listen]]\naddress = "127.0.0.1:PORT"\n[limits]\nsessions = 2\n')
    request = raw_socks.request(target.host, target.port)
    first, granted = raw_socks.ask(server.proxy, request)
    assert granted.code == 0
    assert raw_socks.ask(server.proxy, request)[1].code == 0
    assert raw_socks.ask(server.proxy, request)[1].code == GENERAL_FAILURE
    server.wait_for_record(event="error", reason="limit.sessions")
    first.close()

    def admitted_again() -> bool:
        return raw_socks.ask(server.proxy, request)[1].code == 0

    wait_until("a session that ended makes room", admitted_again)
