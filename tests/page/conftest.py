"""A real browser, and the page over a made-up daemon. A test fails where the page meets an error or asks elsewhere."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.applications import Starlette

from tests.page.fake import Fleet, application

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE = 60.0  # s
OFFLINE = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")


class Site:
    """A made-up daemon that listens; it can be stopped and started again on its port."""

    def __init__(self, application: Starlette, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._application = application
        self._port = port
        self._server: uvicorn.Server
        self._thread: threading.Thread

    def start(self) -> None:
        """Listen."""
        config = uvicorn.Config(
            self._application, host="127.0.0.1", port=self._port, log_level="critical", lifespan="off", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    @property
    def listens(self) -> bool:
        """Whether it has begun to."""
        return self._server.started

    def stop(self) -> None:
        """End at once, streams too. May be called twice."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(PATIENCE)


@pytest.fixture(scope="module")  # while it is there, asyncio cannot run in this thread: other tests must be able to
def browser(program: Callable[[str], str]) -> Iterator[Browser]:
    """Chromium; its build without windows, which takes less than half the CPU, where there is one."""
    path = shutil.which("chromium-headless-shell") or program("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(free_port: Callable[[], int], wait_until: Callable[..., Any]) -> Iterator[Callable[[Fleet], Site]]:
    """`site(fleet)`: a made-up daemon of that fleet."""
    sites: list[Site] = []

    def make(fleet: Fleet) -> Site:
        site = Site(application(fleet), free_port())
        sites.append(site)
        site.start()
        wait_until(lambda: site.listens, "the made-up daemon")
        return site

    yield make
    for site in sites:
        site.stop()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`visit(address, hash="#/", width=1280, height=800, dark=False, offline=())`: a new page there, when it is ready.

    Afterwards: no error on the console but those in `offline`, and nothing asked of another host.
    """
    with _watched(browser) as (open_page, complaints):
        yield open_page
    assert complaints == []


@contextmanager
def _watched(browser: Browser) -> Iterator[tuple[Callable[..., Page], list[str]]]:
    complaints: list[str] = []
    contexts = []

    def open_page(
        address: str, hash: str = "#/", width: int = 1280, height: int = 800, dark: bool = False, offline: bool = False
    ) -> Page:
        scheme = "dark" if dark else "light"
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=scheme, timezone_id="UTC", reduced_motion="reduce")
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        page = context.new_page()

        def on_console(message: Any) -> None:
            expected = offline and any(text in message.text for text in OFFLINE)
            if message.type == "error" and not expected:
                complaints.append(f"console: {message.text}")

        def on_request(request: Any) -> None:
            if urlsplit(request.url).netloc != urlsplit(address).netloc:
                complaints.append(f"asked elsewhere: {request.url}")

        def on_dialog(dialog: Any) -> None:
            complaints.append(f"a script ran: {dialog.message}")
            dialog.dismiss()

        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", on_request)
        page.on("dialog", on_dialog)
        page.goto(f"{address}/{hash}")
        page.wait_for_selector("h1")
        return page

    yield open_page, complaints
    for context in contexts:
        context.close()
