"""What the image relies on: a cache of machine code that is used though nobody may write to it; its Dockerfile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lstm_stream.machinecode import VARIABLE, writable_cache

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["", "module"])
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A folder with a file; it cannot be written to, or the folder within cannot."""
    folder = tmp_path / "cache"
    (folder / "module").mkdir(parents=True)
    (folder / "module" / "kernel.nbi").write_bytes(b"code")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != folder / request.param)  # root may write everywhere
    return folder


def test_a_cache_that_cannot_be_written_to_is_lent_as_a_copy(brought: Path) -> None:
    environment = {VARIABLE: str(brought)}
    with writable_cache(environment):
        copy = Path(environment[VARIABLE])
        assert copy != brought
        assert (copy / "module" / "kernel.nbi").read_bytes() == b"code"
    assert environment == {VARIABLE: str(brought)}
    assert not copy.exists()


def test_without_room_for_a_copy_it_does_without(brought: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(brought / "gone"))
    environment = {VARIABLE: str(brought)}
    with writable_cache(environment):
        assert environment == {VARIABLE: str(brought)}


@pytest.mark.parametrize("given", [{}, {VARIABLE: ""}, {VARIABLE: "/no/such/folder"}])
def test_where_there_is_none_nothing_changes(given: dict[str, str]) -> None:
    environment = dict(given)
    with writable_cache(environment):
        assert environment == given


def test_an_error_within_is_not_taken_for_one_of_the_copy(brought: Path) -> None:
    with pytest.raises(OSError, match="another"), writable_cache({VARIABLE: str(brought)}):
        raise OSError("another")


def test_the_image_runs_as_nobody_special_and_stops_at_sigterm() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER 9108:9108" in lines
    assert 'ENTRYPOINT ["lstm-stream"]' in lines  # the exec form: signals reach the daemon
    assert [line for line in lines if line.startswith("HEALTHCHECK")]
