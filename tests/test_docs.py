"""The documentation is true: the reference is the code's, snippets are valid, commands exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.generate import FOLDER, pages
from lstm_stream.cli import main
from lstm_stream.cli.program import parser
from lstm_stream.config.file import parse

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs" / "guide").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
KUBERNETES = ROOT / "config" / "kubernetes" / "lstm_stream.yaml"


def snippets(path: Path, language: str) -> Iterator[str]:
    """The blocks of a page in a language; without one, those that say none."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    yield from (text for kind, text in blocks if kind == language)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- the reference


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_reference_is_what_the_code_says(name: str) -> None:
    written = (FOLDER / name).read_text("utf-8")
    assert written == pages()[name], "it is not: run python -m docs.generate"


def test_nothing_else_is_in_the_reference() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(pages())


# --- the guides

YAML = [(path, text) for path in (ROOT / "README.md", *GUIDES) for text in snippets(path, "yaml")]


@pytest.mark.parametrize(("path", "text"), YAML, ids=[f"{named(path)}-{n}" for n, (path, _) in enumerate(YAML)])
def test_every_configuration_shown_is_right(path: Path, text: str) -> None:
    parse(text, named(path))


def commands() -> Iterator[tuple[str, str]]:
    """Every lstm-stream command in the guides, with the page."""
    for path in (ROOT / "README.md", *GUIDES):
        text = "\n".join([*snippets(path, "sh"), *snippets(path, "")]).replace("\\\n", " ")
        for line in text.splitlines():
            for part in re.split(r"&&|\||;", line.split(" #")[0]):
                found = re.match(r"\s*(?:\S*/)?lstm-stream (.*)", part)
                if found:
                    yield named(path), found[1].strip()


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_every_command_shown_exists(page: str, command: str) -> None:
    try:
        parser().parse_args(shlex.split(command))
    except SystemExit:
        pytest.fail(f"{page}: lstm-stream {command}")


def test_the_guides_show_commands_and_configurations() -> None:
    assert len(list(commands())) > 20
    assert len(YAML) > 10


@pytest.mark.parametrize("page", ["README.md", "docs/guide/connect.md"])
def test_what_is_shown_without_a_broker_works(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the page's first configuration as config.yaml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(next(snippets(ROOT / page, "yaml")))
    offline = [shlex.split(line) for name, line in commands() if name == page and line.startswith(("check", "explain"))]
    ran = [arguments for arguments in offline if "-" not in arguments]  # of those without standard input
    assert len(ran) >= 2
    for arguments in ran:
        assert main(arguments) == 0, capsys.readouterr().err
    assert "1 sample to score" in capsys.readouterr().out


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)):
        if target.startswith(("http:", "https:")):
            continue
        file, _, anchor = target.partition("#")
        to = (path.parent / file).resolve() if file else path
        assert to.exists(), f"{target}: there is no such file"
        if anchor and to.suffix == ".md":
            assert anchor in anchors(to), f"{target}: there is no such heading"


def anchors(path: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_guide_is_in_the_list_of_guides() -> None:
    index = (ROOT / "docs" / "guide" / "README.md").read_text("utf-8")
    assert [path.name for path in GUIDES if path.name != "README.md" and f"({path.name})" not in index] == []


# --- Kubernetes


def test_the_pod_fits_the_program() -> None:
    documents = {one["kind"]: one for one in yaml.safe_load_all(KUBERNETES.read_text("utf-8"))}
    (name, text), *others = documents["ConfigMap"]["data"].items()
    config = parse(text, name)
    pod = documents["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert not others
    assert container["args"] == ["run", f"/config/{name}"]
    assert config.web.port == container["ports"][0]["containerPort"]
    assert config.web.host == "0.0.0.0"
    assert str(config.state.path.parent) in mounts
    assert str(config.broker.password_file.parent) in mounts
    claims = {claim["metadata"]["name"] for claim in documents["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    assert set(mounts.values()) == claims | {volume["name"] for volume in pod["volumes"]}
    assert {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness")} == {"/-/healthy"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/-/ready"
    assert not any("subPath" in mount for mount in container["volumeMounts"])  # or a change never arrives
