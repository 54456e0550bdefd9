"""What each verb takes, and the words in which --help says so."""

from __future__ import annotations

import argparse
import math

from lstm_stream.cli import verbs as do
from lstm_stream.options import Verbs, add_verb, address, duration, number, topic, web_side, whole


def add_demo(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        do.demo,
        "see it find faults in simulated sensors",
        "Starts a broker, a fleet of simulated sensors that publish over real MQTT, and the daemon, all in this\n"
        "process. Faults are injected; a live table shows which of them are found. Simulated time runs faster than\n"
        "the clock. Metrics and health are served over HTTP meanwhile. Ctrl-C ends it with the summary so far.",
        "  lstm-stream demo\n"
        "  lstm-stream demo --duration 120 --sensors 200\n"
        "  lstm-stream demo --headless --json summary.json      for scripts\n"
        "  lstm-stream demo --broker localhost:1883             over your own broker",
        extra="demo",
    )
    parser.add_argument(
        "--duration",
        metavar="S",
        type=number(float, lambda value: 0 < value < math.inf, "a number above 0"),
        default=60.0,
        help="seconds to run (default: 60)",
    )
    parser.add_argument(
        "--sensors",
        metavar="N",
        type=whole(1),
        default=24,
        help="simulated sensors (default: 24)",
    )
    parser.add_argument(
        "--speed",
        metavar="X",
        type=number(float, lambda value: 0 < value < math.inf, "a number above 0"),
        default=None,
        help="how much faster than the clock simulated time runs (default: three weeks a minute or more)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=whole(0),
        default=1,
        help="same seed, same sensors and faults (default: 1)",
    )
    parser.add_argument(
        "--broker", metavar="HOST:PORT", type=address, help="use this MQTT broker (default: one in this process)"
    )
    parser.add_argument("--headless", action="store_true", help="plain lines instead of the live table")
    parser.add_argument("--json", metavar="FILE", help="write the summary to FILE as JSON")


def add_run(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        do.run,
        "watch your own sensors: the daemon",
        "Subscribes to your broker, scores every message, publishes anomaly events and serves metrics and health.\n"
        "SIGTERM or Ctrl-C: takes no more messages, finishes those taken, saves what was learned, exits with 0;\n"
        "a second one exits at once. All that was learned is restored at the next start. SIGHUP, or a change of the\n"
        "file: puts the new configuration in force as far as that is possible while running, or says why not.",
        "  lstm-stream run config.yaml\n  lstm-stream run config.yaml --fresh                  forget what was learned",
    )
    parser.add_argument("config", metavar="CONFIG", help="configuration file (YAML)")
    parser.add_argument("--fresh", action="store_true", help="start anew; an existing state file is set aside")


def add_check(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        do.check,
        "say everything that is wrong with a configuration",
        "Reads a configuration and prints each mistake as file:line:column: option: what is wrong; what would be\n"
        "right. Exits with 1 if there is any. It connects to nothing.",
        "  lstm-stream check config.yaml\n"
        "  lstm-stream check config.yaml --print                with all defaults filled in\n"
        "  lstm-stream check --schema > config.schema.json      for editors; then begin config.yaml with\n"
        "      # yaml-language-server: $schema=config.schema.json",
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="configuration file (YAML)")
    parser.add_argument("--print", action="store_true", help="print the effective configuration")
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of configurations; needs no CONFIG"
    )


def add_replay(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        do.replay,
        "score a recording, without a broker",
        "Sends a CSV file down the same line as live messages and writes a row of scores for each of its rows.\n"
        "The file needs a column `timestamp`; all other columns of numbers are channels. A column `sensor` may say\n"
        "whose row it is. The same file and configuration give the same scores.",
        "  lstm-stream replay pump.csv --out scores.csv\n"
        "  lstm-stream replay pump.csv --plot pump.png\n"
        "  lstm-stream replay pump.csv --config config.yaml --format json",
        extra="plot",
    )
    parser.add_argument("file", metavar="FILE.csv", help="the recording")
    parser.add_argument("--config", metavar="C", help="configuration file (default: all defaults)")
    parser.add_argument("--out", metavar="scores.csv", help="write the scores to this file, a row for each row")
    parser.add_argument("--plot", metavar="out.png", help="draw signal, expected band, score and alarms")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the summary (default: text)")


def add_explain(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        do.explain,
        "say what would become of a message",
        "Shows how a message would be read: which source takes it, its sensor, channels and time, and what would\n"
        "be rejected and why. Exits with 1 if anything is rejected. It connects to nothing.",
        "  lstm-stream explain --topic sensors/pump-7 --payload '{\"temperature\": 21.5}'\n"
        "  lstm-stream explain --config config.yaml --topic plant/oslo/pump-7 --payload @message.json\n"
        "  mosquitto_sub -C 1 -N -t sensors/pump-7 | lstm-stream explain --topic sensors/pump-7 --payload -",
    )
    parser.add_argument("--config", metavar="C", help="configuration file (default: all defaults)")
    parser.add_argument("--topic", metavar="T", required=True, type=topic, help="the message's topic")
    parser.add_argument(
        "--payload", metavar="P", required=True, help="the payload; @FILE reads a file, - standard input"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_plot(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        do.plot,
        "draw what was recorded of a sensor",
        "Draws a sensor's latest samples with the expected band, the score, alarms and adopted weights, as the status\n"
        "page shows them (web.recorded says of how many sensors samples are kept). Asks the running daemon, or reads\n"
        "the state file of a stopped one.",
        "  lstm-stream plot pump-7 --since 2d --config config.yaml\n"
        "  lstm-stream plot pump-7 -o pump.svg --url http://127.0.0.1:9108",
        extra="plot",
        parents=[web_side()],
    )
    parser.add_argument("sensor", metavar="SENSOR", help="its name")
    parser.add_argument(
        "--since", metavar="AGO", type=duration, help="how far back from its latest sample, such as 2d (default: all)"
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="a .png, .svg or .pdf (default: SENSOR.png)")


def add_bench(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        do.bench,
        "measure what this machine can do, in ten seconds",
        "Runs the LSTM with the default settings on one core: steps a second, sensors at a sample a second, rounds of\n"
        "retraining a second. The first time the kernels are compiled before.",
        "  lstm-stream bench\n  lstm-stream bench --json",
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=number(float, lambda value: 0 < value < math.inf, "a number above 0"),
        default=10.0,
        help="how long to measure (default: 10)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
