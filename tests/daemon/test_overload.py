"""More than the daemon can carry: it sheds what it says, counts every message, keeps its connection and recovers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.soak import KEEPALIVE, soak


@pytest.mark.parametrize("policy", ["drop_oldest", "block"])
def test_a_flood_is_survived_and_every_message_accounted_for(tmp_path: Path, policy: str) -> None:
    result = soak(tmp_path, policy, 0.02, sensors=200, inbox=5000, every=0.3)
    assert result.unaccounted == 0
    assert (result.connections, result.disconnects) == (1, 0)
    assert result.longest_gap < 1.5 * KEEPALIVE
    shed = {reason for reason, count in result.drops.items() if count}
    assert shed == ({policy} if policy != "block" else set())
    assert max(look.waiting for look in result.looks) < 5000 + 2**18 / 20  # of a read of the shortest messages
    assert result.looks[-1].waiting < 5000
