"""YAML read into plain Python values, with the line and column of everything.

Only the harmless part of YAML: mappings with text keys, lists, plain scalars, anchors and merge keys. Everything is
bounded: size, nesting, and what aliases expand to. The reader collects problems and reads on where it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

Path = tuple[str | int, ...]  # keys and list positions from the root to a value

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 50
_MAX_NODES = 50_000  # after aliases are expanded
_TAG = "tag:yaml.org,2002:"


class Place(NamedTuple):
    """Where something stands in the file, counted from 1; line 0: nowhere in particular."""

    line: int = 0
    column: int = 0


class Flaw(NamedTuple):
    """Something YAML itself forbids, or this reader."""

    place: Place
    path: Path
    message: str
    advice: str


@dataclass
class Document:
    """A YAML file as data; `keys` and `values` say where each path's key and value stand."""

    data: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)


def read(text: str) -> Document:
    """Parse one YAML document. Never raises: what is wrong is in `flaws`, and `data` holds what could be read."""
    document = Document()
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            document.data = _Builder(document).build(node, ())
    except yaml.YAMLError as error:
        document.flaws.append(_explain(error, text))
    except (ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF"
        place = _place(loader.get_mark()) if loader else Place()
        document.flaws.append(Flaw(place, (), f"cannot be read: {error}", "write it in plain characters"))
    return document


def write(data: Any) -> str:
    """Plain values as YAML that `read` reads back."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


class _Core:
    """YAML 1.2 numbers: 4e-3 is one, 12:30 and 2026-01-31 are text."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _TAG + next((name for name, pattern in _PLAIN.items() if pattern.fullmatch(value)), "str")
        return str(super().resolve(kind, value, implicit))  # type: ignore[misc]


class _Dumper(_Core, yaml.SafeDumper):
    """SafeDumper that quotes text which the loader would take for a number."""


class _Loader(_Core, yaml.SafeLoader):
    """SafeLoader with bounded nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.get_mark())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_PLAIN = {  # what an unquoted scalar is: the first that fits, else text
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"(?i:yes|no|true|false|on|off)"),
    "int": re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*"),
    "float": re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"),
    "merge": re.compile(r"<<"),
}
_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "merge": str,
    "int": int,
    "float": float,
    "bool": lambda text: text.lower() in ("yes", "true", "on"),
    "null": lambda _: None,
}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class _Builder:
    """Turns nodes into values, noting where they stand."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0
        self.open: list[yaml.Node] = []
        self.flawed: set[Place] = set()

    def build(self, node: yaml.Node, path: Path) -> Any:
        """The value of a node. Raises YAMLError where its aliases are endless."""
        self.document.values[path] = _place(node.start_mark)
        with self._entered(node):
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, path)

    @contextmanager
    def _entered(self, node: yaml.Node) -> Iterator[None]:
        self.count += 1
        if self.count > _MAX_NODES:
            raise yaml.MarkedYAMLError(problem=_TOO_LARGE, problem_mark=node.start_mark)
        if any(node is other for other in self.open):
            raise yaml.MarkedYAMLError(problem=_ENDLESS, problem_mark=node.start_mark)
        self.open.append(node)
        yield
        self.open.pop()

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if not isinstance(node, yaml.ScalarNode) or kind not in _SCALARS:
            return self._flaw(node, path, f"has the tag {node.tag!r}", "write plain values, without !")
        if _UNPRINTABLE.search(node.value):
            return self._flaw(node, path, "contains a control character", "write plain text")
        try:
            return _SCALARS[kind](node.value)
        except ValueError:
            return self._flaw(node, path, "cannot be read as a number", "write a shorter one, in digits")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        pairs = self._pairs(node, path)
        for name, (key, _) in pairs.items():
            self.document.keys[(*path, name)] = _place(key.start_mark)
        return {name: self.build(value, (*path, name)) for name, (_, value) in pairs.items()}

    def _pairs(self, node: yaml.MappingNode, path: Path) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or _UNPRINTABLE.search(key.value):
                self._flaw(key, path, "has a key that is not plain text", "write keys as plain words")
            elif key.tag == _TAG + "merge":
                for name, pair in self._merged(value, path):
                    merged.setdefault(name, pair)
            elif key.value in own:
                first = own[key.value][0].start_mark.line + 1
                self._flaw(key, (*path, key.value), f"is given twice, first in line {first}", "keep one of the two")
            else:
                own[key.value] = (key, value)
        return merged | own

    def _merged(self, node: yaml.Node, path: Path) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(source, yaml.MappingNode):
                with self._entered(source):
                    yield from self._pairs(source, path).items()
            else:
                self._flaw(source, (*path, "<<"), "merges something without keys", "write <<: *name_of_a_section")

    def _flaw(self, node: yaml.Node, path: Path, message: str, advice: str) -> None:
        place = _place(node.start_mark)
        if place not in self.flawed:  # an alias shows a flaw again
            self.flawed.add(place)
            self.document.flaws.append(Flaw(place, path, message, advice))


def _place(mark: yaml.Mark | None) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place()


_TOO_LARGE = "expand to too much"
_ENDLESS = "contains itself"
_TOO_DEEP = "is nested too deeply"
_ADVICE = (  # (part of PyYAML's message, what is wrong, what would be right); the first match counts
    (_TOO_LARGE, "the file expands to too much", f"a configuration has at most {_MAX_NODES} values"),
    (_ENDLESS, "an alias (*) contains itself", "an anchor (&) must end before its alias"),
    (_TOO_DEEP, "the file is nested too deeply", "no option lies deeper than five levels"),
    (r"'\t'", "a tab in front of text", "indent with spaces"),
    (
        "mapping values are not allowed",
        "a colon where none can be",
        "check the indentation, or put text with `: ` in quotes",
    ),
    ("could not find expected ':'", "a line without a colon", "write key: value, with a space after the colon"),
    ("expected <block end>", "the indentation does not fit the lines above", "align the keys of one section"),
    ("did not find expected key", "the indentation does not fit the lines above", "align the keys of one section"),
    ("expected a single document", "a second document begins (---)", "keep one configuration in a file"),
    ("undefined alias", "an alias (*) without its anchor (&)", "put text that begins with * in quotes"),
    ("while scanning an alias", "a * that no name follows", "put text that begins with * in quotes"),
    ("found duplicate anchor", "two anchors (&) have one name", "give each its own"),
    ("quoted scalar", "a quote is not closed, or not in the line", "close it, or double a quote inside the text"),
    ("that cannot start any token", "a character that cannot begin a value", "put the text in quotes"),
    ("expected ',' or", "a bracket is not closed", "close it, or put text with brackets in quotes"),
)


def _explain(error: yaml.YAMLError, text: str) -> Flaw:
    """A YAML error in plain words. The text of the file is not repeated: it may hold a secret."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        return Flaw(place, (), f"contains the control character U+{ord(text[error.position]):04X}", "remove it")
    said = " ".join(str(getattr(error, part, None) or "") for part in ("context", "problem"))
    mark = getattr(error, "problem_mark", None)
    if said.startswith(("while scanning", "while parsing a flow")):  # it opened earlier than it failed
        mark = getattr(error, "context_mark", None) or mark
    for part, message, advice in _ADVICE:
        if part in said:
            return Flaw(_place(mark), (), message, advice)
    return Flaw(_place(mark), (), f"is not YAML: {said.strip()}", "check indentation, colons and quotes")
