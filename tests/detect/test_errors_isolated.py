"""A defect in the scoring of one group costs the other groups nothing."""

from __future__ import annotations

import pytest

from lstm_stream.config import Group, Limits
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.records import Reading, Reason, Samples

GROUP = Group.model_validate({"model": {"hidden": 2}, "retraining": {"enabled": False, "history": 128, "lag": 1}})


def test_the_others_are_scored_and_what_failed_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Detector.process

    def broken(self: Detector, samples: Samples) -> object:
        if self.name == "bad":
            raise ZeroDivisionError("a defect")
        return process(self, samples)

    monkeypatch.setattr(Detector, "process", broken)
    fleet = Fleet({"bad": GROUP, "good": GROUP}, Limits(), Trainer())
    readings = [Reading(f"s{k}", group, 60.0 * k, {"v": 1.0}) for k in range(3) for group in ("bad", "good")]
    outcome = fleet.process(readings)
    assert sum(len(batch.samples) for batch in outcome.batches) == 3
    assert [(index, rejection.reason) for index, rejection in outcome.rejections] == [
        (0, Reason.INTERNAL),
        (2, Reason.INTERNAL),
        (4, Reason.INTERNAL),
    ]
    assert "a defect" in outcome.rejections[0][1].detail
