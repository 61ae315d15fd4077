"""Chromium, headless: one page through a proxy, its script and what that loads."""

from pathlib import Path

from processes import run
from web import WebServer


def load_page(site: WebServer, proxy: str, folder: Path) -> None:
    """`proxy`: scheme://host:port."""
    result = run(
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", f"--user-data-dir={folder / 'profile'}",
        f"--proxy-server={proxy}", "--proxy-bypass-list=<-loopback>",
        "--virtual-time-budget=5000", "--dump-dom", f"{site.url}/",
        timeout=120, environment={"HOME": str(folder)},
    )  # fmt: skip
    assert result.returncode == 0
    assert f"written by a script, 127.0.0.1:{site.port}" in result.stdout
    assert "second file loaded" in result.stdout
