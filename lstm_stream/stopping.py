"""How a running program is told to stop, or to read its configuration again. Loads nothing heavy."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """SIGTERM and SIGINT end the process at once, with exit code 0, while nothing else handles them.

    For a start that has touched nothing yet; stop_on_signals() within takes over without a gap. Without any handler the
    first process of a container would not hear of SIGTERM at all. A handler of Python's would wait for as long as the
    main thread is in compiled code, such as the compiler itself: Python tells the number of a signal to a socket at
    once, and a thread waits for that.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    told, teller = socket.socketpair()
    teller.setblocking(False)

    def leave(*_: object) -> None:
        os._exit(0)

    def wait() -> None:
        while number := told.recv(1):
            if number[0] in numbers and signal.getsignal(number[0]) is leave:
                os._exit(0)

    former = {number: signal.signal(number, leave) for number in numbers}
    wakeup = signal.set_wakeup_fd(teller.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=wait, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in former.items():
            signal.signal(number, handler)
        teller.close()
        thread.join()
        told.close()


@contextmanager
def reload_on_signal(*reload: Callable[[], None]) -> Iterator[None]:
    """SIGHUP calls these in turn, where there is such a signal."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    former = signal.signal(signal.SIGHUP, lambda *_: _call(reload))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, former)


@contextmanager
def stop_on_signals(*stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGTERM or SIGINT calls these in turn, the second ends the process at once with code 128 + number."""
    received: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        _call(stop)

    former = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _call(functions: Sequence[Callable[[], None]]) -> None:
    for function in functions:
        function()
