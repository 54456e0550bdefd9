"""More than the daemon can carry: it sheds what it says, counts every message, keeps its connection and recovers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.soak import Soak, await_, drops, running, settle

INBOX = 5000
READ = 2**18 / 20  # messages of one read, of the shortest


@pytest.mark.parametrize("policy", ["drop_oldest", "block"])
def test_a_flood_is_survived_and_every_message_accounted_for(tmp_path: Path, policy: str) -> None:
    result, waiting = Soak(policy), [0.0]
    with running(tmp_path, policy, 200, INBOX) as (flood, daemon):

        def is_full() -> bool:
            metrics = daemon.metrics()
            waiting.append(metrics["lstm_stream_queue_length"])
            full = max(waiting) > INBOX / 2 if policy == "block" else drops(metrics)[policy] > INBOX
            return full and metrics["lstm_stream_samples_processed_total"] > 5 * INBOX

        flood.rate = 1e9  # as fast as it goes
        await_(is_full, 60, daemon)
        flood.rest()
        settle(flood, daemon, result)
        assert daemon.metrics()["lstm_stream_queue_length"] == 0
    assert result.unaccounted == 0
    assert (flood.connections, result.disconnects) == (1, 0)
    assert {reason for reason, count in result.drops.items() if count} == ({policy} - {"block"})
    assert max(waiting) <= INBOX + READ
