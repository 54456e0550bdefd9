"""From the arguments of `state` to the stopped file or the running daemon, and to what is printed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstm_stream.config import Config
from lstm_stream.config.document import read
from lstm_stream.statefile import tables
from lstm_stream.statefile.container import Container, ContainerError, Entry, write
from lstm_stream.statefile.offline import obey_offline
from lstm_stream.statefile.options import COMMANDS
from lstm_stream.statefile.running import Running
from lstm_stream.statefile.stopped import LockedError, StateVerbError, Stopped

ANYWHERE = ("0.0.0.0", "::")  # hosts that a daemon listens on and nobody can connect to


def run_state(args: argparse.Namespace, config: Config) -> int:
    """Do what args.action says and print what came of it; 1 where that cannot be, with the reason on stderr."""
    try:
        return _ACTIONS.get(args.action, _command)(args, config)
    except (StateVerbError, ContainerError) as error:
        told = str(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        told = f"{error.filename or args.action}: {error.strerror or error}"
    print(f"lstm-stream: {told}", file=sys.stderr)
    return 1


def _list(args: argparse.Namespace, config: Config) -> int:
    where = args.search, args.group or "", args.state, args.limit

    def stopped(file: Stopped) -> dict[str, Any]:
        return {**file.sensors(*where), "pending": file.pending}

    found = _either(args, config, stopped, lambda daemon: daemon.sensors(*where))
    return _print(args, found, tables.sensors)


def _show(args: argparse.Namespace, config: Config) -> int:
    name, group = args.subject, args.group or ""
    found = _either(args, config, lambda file: file.sensor(name, group), lambda daemon: daemon.sensor(name, group))
    return _print(args, found, tables.sensor)


def _print(args: argparse.Namespace, document: dict[str, Any], to_text: Callable[[dict[str, Any]], str]) -> int:
    print(json.dumps(document, indent=2) if args.json else to_text(document))
    return 0


def _export(args: argparse.Namespace, config: Config) -> int:
    out, names, group = Path(args.out), args.sensors, args.group or ""

    def running(daemon: Running) -> dict[str, Any]:
        if not names:
            raise StateVerbError("name the SENSORs to export from a running daemon; of a stopped one all can be")
        packed = daemon.states(names, group)
        size = write(out, [Entry(*one[:4], len(one.state)) for one in packed], (one.state for one in packed))
        return {"sensors": sum(bool(one.sensor) for one in packed), "bytes": size, "pending": 0}

    def stopped(file: Stopped) -> dict[str, Any]:
        sensors, size = file.export(names, group, out)
        return {"sensors": sensors, "bytes": size, "pending": file.pending}

    document = {"file": str(out), **_either(args, config, stopped, running)}
    sensors, size = document["sensors"], document["bytes"]
    return _print(args, document, lambda d: f"{out}: {_counted(sensors)}, {size:,} bytes{tables.waiting(d)}")


def _import(args: argparse.Namespace, config: Config) -> int:
    path = Path(args.subject)
    if args.url:
        raise StateVerbError("import works on the file of a stopped daemon; leave out --url")
    with Stopped(config) as file, Container(path) as container:
        sensors = file.take_in(container, args.replace)
    document = {"file": str(path), "sensors": sensors}
    return _print(args, document, lambda _: f"{path}: {_counted(sensors)} taken in")


def _command(args: argparse.Namespace, config: Config) -> int:
    assert args.action in COMMANDS
    subject, group = args.subject or "", args.group or ""
    if not subject and not group:
        args.error("name a SENSOR, or a --group for all of it")
    sensor, argument = ("", subject) if args.action == "undo" else (subject, "")
    if getattr(args, "to", None) is not None:
        argument = str(args.to)

    order = sensor, argument, args.comment

    def running(daemon: Running) -> dict[str, Any]:
        return daemon.obey(args.action, daemon.group_of(sensor, group) if sensor else group or "default", *order)

    found = _either(args, config, lambda file: {"group": file.group_of(sensor, group) if sensor else group}, running)
    reply = obey_offline(config, args.action, found["group"] or "default", *order) if "group" in found else found
    print(json.dumps(reply, indent=2) if args.json else reply["text"] + (f" ({reply['id']})" if reply["ok"] else ""))
    return 0 if reply["ok"] else 1


def _either(
    args: argparse.Namespace,
    config: Config,
    stopped: Callable[[Stopped], dict[str, Any]],
    running: Callable[[Running], dict[str, Any]],
) -> dict[str, Any]:
    """What the file says, or the daemon that uses it."""
    if args.url:
        return running(Running(args.url, args.user, args.cacert))
    try:
        with Stopped(config) as file:
            return stopped(file)
    except LockedError:
        return running(Running(address(config), args.user, args.cacert))


def address(config: Config) -> str:
    """Where the daemon of a configuration can be asked."""
    web = config.web
    if not web.enabled or not web.port:
        raise StateVerbError("a daemon uses the state, and the configuration does not say its port; give --url")
    host = "127.0.0.1" if web.host in ANYWHERE else web.host
    return f"{_scheme(config)}://{f'[{host}]' if ':' in host else host}:{web.port}"


def _scheme(config: Config) -> str:
    if config.web.config_file is None:
        return "http"
    try:
        content = read(config.web.config_file.read_text("utf-8")).data
    except (OSError, UnicodeDecodeError):
        return "http"
    return "https" if isinstance(content, dict) and content.get("tls_server_config") else "http"


def _counted(sensors: int) -> str:
    return f"{sensors} sensor{'s' * (sensors != 1)}"


_ACTIONS = {"list": _list, "show": _show, "export": _export, "import": _import}
