"""Events over MQTT: delivered once the broker has confirmed them (QoS 1 and 2) or they are on the wire (QoS 0)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from lstm_stream.outputs.outbox import Letter

PATIENCE = 1.0  # s for the broker to confirm what was sent together; then the courier looks whether it is to end


class Receipt(Protocol):
    """What becomes of a publish."""

    def wait_for_publish(self, timeout: float | None = None) -> None:
        """Wait until it is confirmed. Raises RuntimeError or ValueError where it never will be."""
        ...

    def is_published(self) -> bool:
        """Whether it is confirmed."""
        ...


class MqttSink:
    """`publish` sends topic and payload and raises OSError where it cannot, for now.

    What was sent and not confirmed yet is not sent again while the session lives: it does so by itself.
    """

    name = "mqtt"
    longest_pause = 5.0

    def __init__(self, publish: Callable[[str, bytes], Receipt], patience: float = PATIENCE) -> None:
        self._publish = publish
        self._patience = patience
        self._sent: dict[int, Receipt] = {}  # by the number of the letter

    def send(self, letters: Sequence[Letter]) -> int:
        """Send all, then wait for the broker to confirm them in order."""
        failure = self._send_new(letters)
        deadline = time.monotonic() + self._patience
        delivered = 0
        for letter in letters:
            receipt = self._sent.get(letter.seq)
            if receipt is None or not self._is_confirmed(letter.seq, receipt, deadline):
                break
            del self._sent[letter.seq]
            delivered += 1
        if not delivered:
            raise failure or TimeoutError(f"the broker did not confirm within {self._patience:g} s")
        return delivered

    def close(self) -> None:
        """Forget what was sent: the session is at its end."""
        self._sent.clear()

    def _send_new(self, letters: Sequence[Letter]) -> OSError | None:
        for letter in letters:
            if letter.seq not in self._sent:
                try:
                    self._sent[letter.seq] = self._publish(letter.topic, letter.payload)
                except OSError as error:
                    return error
        return None

    def _is_confirmed(self, seq: int, receipt: Receipt, deadline: float) -> bool:
        try:
            receipt.wait_for_publish(max(0.0, deadline - time.monotonic()))
            return receipt.is_published()
        except (RuntimeError, ValueError):  # lost on the way: send it anew
            del self._sent[seq]
            return False
