"""The options of `state`. Loads nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lstm_stream.options import Verb, Verbs, add_verb, web_side, whole

_EPILOG = (
    "  lstm-stream state list --config config.yaml\n"
    "  lstm-stream state show pump-7 --config config.yaml\n"
    "  lstm-stream state rollback pump-7 --config config.yaml         to the weights before the latest\n"
    "  lstm-stream state export -o plant.sensors --config config.yaml\n"
    "  lstm-stream state list --url http://127.0.0.1:9108             a daemon that runs elsewhere"
)


def add(verbs: Verbs[argparse.ArgumentParser], verb: Verb) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        verb,
        "look at what was learned, and change it",
        "Works on the state file that the configuration names, while no daemon uses it; else on the running daemon,\n"
        "through its API (web.host and web.port, or --url). There commands need web.commands: true. Users and\n"
        "passwords come from ~/.netrc, or from --user and the environment variable LSTM_STREAM_PASSWORD.",
        _EPILOG,
        name="state",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    common = web_side()
    _add_list(actions, common)
    _add(actions, common, "show", "everything known of one sensor", ("SENSOR", "its name"))
    export = _add(actions, common, "export", "write sensors to a file, to be taken elsewhere")
    export.add_argument(
        "sensors",
        metavar="SENSOR",
        nargs="*",
        help="their names (default: all; of a running daemon they must be named)",
    )
    export.add_argument("-o", "--out", metavar="FILE", required=True, help="the file to write")
    take = _add(
        actions, common, "import", "take in what export wrote; while no daemon uses the file", ("FILE", "the file")
    )
    take.add_argument("--replace", action="store_true", help="sensors that are there already are replaced")
    back = _add(
        actions, common, "rollback", "go back to former weights", ("SENSOR", "whose; without: those its group shares")
    )
    back.add_argument("--to", metavar="GENERATION", type=whole(0), help="which ones (default: the ones before)")
    _add(
        actions,
        common,
        "forget",
        "remove sensors and all that was learned of them",
        ("SENSOR", "one; without: a --group"),
    )
    _add(actions, common, "pause", "learn nothing for now", ("SENSOR", "of it alone; without: of its whole group"))
    _add(actions, common, "resume", "learn again", ("SENSOR", "of it alone; without: of its whole group"))
    _add(actions, common, "undo", "take back a command", ("COMMAND", "its id, as the list of commands shows it"))


def _add(
    actions: Verbs[argparse.ArgumentParser],
    common: argparse.ArgumentParser,
    name: str,
    summary: str,
    subject: tuple[str, str] | None = None,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", parents=[common]
    )
    parser.set_defaults(error=parser.error)
    parser.add_argument("--json", action="store_true", help="print JSON")
    if subject is not None:
        nargs = "?" if "without" in subject[1] else None
        parser.add_argument("subject", metavar=subject[0], nargs=nargs, help=subject[1])
    if name in COMMANDS:
        parser.add_argument("--comment", metavar="TEXT", default="", help="why, for the list of commands")
    return parser


def _add_list(actions: Verbs[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = _add(actions, common, "list", "the sensors")
    parser.add_argument("--search", metavar="TEXT", default="", help="only those with this in their name")
    parser.add_argument("--state", choices=STATES, default="", help="only those in this state")
    parser.add_argument("--limit", metavar="N", type=whole(1), default=100, help="how many at most (default: 100)")


COMMANDS: Sequence[str] = ("rollback", "forget", "pause", "resume", "undo")
STATES: Sequence[str] = ("warming", "watching", "alarmed", "silent")
