"""Chromium, headless: one page through a proxy, its script and what that loads."""

from pathlib import Path

from networks import HERE, Namespace
from processes import run
from web import WebServer


def load(url: str, folder: Path, *arguments: str, namespace: Namespace = HERE) -> str:
    """The page's document once its scripts have run, or Chromium's own about what went wrong."""
    result = run(
        *namespace.prefix(),
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", f"--user-data-dir={folder / 'profile'}", *arguments,
        "--virtual-time-budget=5000", "--dump-dom", url,
        timeout=120, environment={"HOME": str(folder)},
    )  # fmt: skip
    assert result.returncode == 0
    return result.stdout


def assert_whole(page: str, site: WebServer, host: str = "127.0.0.1") -> None:
    assert f"written by a script, {host}:{site.port}" in page
    assert "second file loaded" in page


def load_page(site: WebServer, proxy: str, folder: Path) -> None:
    """`proxy`: scheme://host:port."""
    page = load(f"{site.url}/", folder, f"--proxy-server={proxy}", "--proxy-bypass-list=<-loopback>")
    assert_whole(page, site)
