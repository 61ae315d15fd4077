"""Dante's socksify, which puts unchanged programs behind a proxy."""

import textwrap
from pathlib import Path

from server import Server


def behind(server: Server, folder: Path, version: int = 5) -> dict[str, str]:
    """The environment in which socksify, Dante's wrapper, uses this server."""
    address, port = server.proxy
    configuration = folder / "dante.conf"
    configuration.write_text(
        textwrap.dedent(f"""
            resolveprotocol: fake
            route {{
              from: 0.0.0.0/0 to: 0.0.0.0/0 via: {address} port = {port}
              protocol: tcp{" udp" if version == 5 else ""}
              proxyprotocol: socks_v{version}
              method: none
              command: bind connect{" udpassociate" if version == 5 else ""}
            }}
        """)
    )
    # Loopback counts as a network at hand, which Dante would go to directly.
    return {"SOCKS_CONF": str(configuration), "SOCKS_AUTOADD_LANROUTES": "no", "HOME": str(folder)}
