"""model.start_from: the file is read with the configuration, which then holds all that the detection needs."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.config import Config, Group, Model
from lstm_stream.config.file import ConfigError, effective, parse
from lstm_stream.detect.state import lstm_shape
from lstm_stream.lstm import interchange
from lstm_stream.lstm.params import Shape, initial

SHAPE = Shape(9, 16, 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "base.safetensors"
    path.write_bytes(interchange.save(initial(SHAPE, 5), SHAPE))
    return path


def config(path: Path, more: str = "") -> str:
    return f"groups:\n  default:\n    model:\n      start_from: {path}\n{more}"


def loaded(path: Path) -> Model:
    return parse(config(path), "c.yaml").groups["default"].model


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text, "c.yaml")
    assert len(raised.value.problems) == 1
    return str(raised.value)


def test_by_default_it_is_the_packages_own_where_there_is_some() -> None:
    for channels in range(1, 9):
        start = Config().groups["default"].model.start(channels)
        assert start is not None
        assert start.shape == lstm_shape(channels, Group())
    assert Model().start(9) is None
    assert Model(hidden=8).start(1) is None
    assert Model(start_from=None).start(1) is None


def test_the_weights_are_those_in_the_file(file: Path) -> None:
    start = loaded(file).start(1)
    assert start is not None
    assert start.shape == SHAPE
    np.testing.assert_array_equal(np.frombuffer(start.weights, np.float32), initial(SHAPE, 5))


def test_they_stay_with_the_configuration_in_copies_and_in_other_processes(file: Path) -> None:
    model = loaded(file)
    file.unlink()  # nobody reads it again
    for copy in (pickle.loads(pickle.dumps(model)), model.model_copy(update={"seed": 2})):
        assert copy.start(1) == model.start(1)


def test_what_is_printed_reads_back(file: Path) -> None:
    whole = parse(config(file), "c.yaml")
    assert f"start_from: {file}" in effective(whole)
    assert parse(effective(whole), "printed.yaml") == whole


def test_other_weights_make_another_configuration(file: Path) -> None:
    before = loaded(file)
    file.write_bytes(interchange.save(initial(SHAPE, 6), SHAPE))
    assert loaded(file) != before


def test_a_missing_file_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    assert problem(config(path)) == (
        f"c.yaml:4:19: groups.default.model.start_from: '{path}' cannot be read: No such file or directory; "
        "give a file that lstm-stream pretrain wrote"
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory; give a file" in problem(config(tmp_path))


def test_another_size_or_cell_is_told_with_what_would_fit(file: Path) -> None:
    expected = "was made for cell standard with hidden 16, but here it is coupled with 8; write cell: standard and"
    assert expected in problem(config(file, "      hidden: 8\n      cell: coupled\n"))
    assert "standard with 8; write" in problem(config(file, "      hidden: 8\n"))
    assert "coupled with 16; write" in problem(config(file, "      cell: coupled\n"))


@pytest.mark.parametrize(
    "content", [b"", b"timestamp,value\n1,2\n", b"\x02\0\0\0\0\0\0\0{}"], ids=["empty", "csv", "bare"]
)
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "base.safetensors"
    path.write_bytes(content)
    assert "holds no weights that can be used: " in problem(config(path))


def test_a_damaged_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])
    assert "cut off or damaged; give a file" in problem(config(file))


def test_a_huge_file_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_stream.config.start.LARGEST", 1024)
    assert "is longer than" in problem(config(file))
