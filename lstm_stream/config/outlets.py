"""Where events go: over MQTT, to the log, to webhooks and files; how severe they are, and what is told as one."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Strict, model_validator

from lstm_stream.config.groups import ViewName
from lstm_stream.config.section import Section, conflict
from lstm_stream.config.values import Duration, EnvironmentName, EventTopic, File, Number, StatusTopic, Text

SeverityName = Literal["info", "warning", "critical"]


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", name) or name in ("mqtt", "log"):
        raise ValueError("is no name of a sink; write up to 32 small letters, digits, - and _, but not mqtt or log")
    return name


def check_url(url: str) -> str:
    """The address of a webhook, as it is. ValueError says what would be right, and never repeats it.

    The address of a webhook often is its password.
    """
    try:
        parts = urlsplit(url)
        fit = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fit = False
    if not fit or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("is not the address of a webhook; write one such as https://pager.example.com/hook")
    if "@" in parts.netloc:
        raise ValueError("holds a password; write the header Authorization to a file and name it in header_files")
    return url


def _header(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError("is not the name of a header; write letters, digits and -, such as Authorization")
    return name


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}; write one such as ^plant/[^/]+, or group") from None
    return text


SinkName = Annotated[str, AfterValidator(_name)]
HeaderName = Annotated[str, AfterValidator(_header)]


class Severity(Section):
    """How an alarm's severity follows from its score, its channels and its view."""

    warning: float = Field(
        default=1.0, ge=0, description="Decades of rarity above the threshold that make an alarm a warning."
    )
    critical: float = Field(
        default=3.0, ge=0, description="Decades of rarity above the threshold that make an alarm critical."
    )
    broad: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of a sensor's channels, three or more, that when outside make it one step more severe.",
    )
    at_least: dict[ViewName, SeverityName] = Field(
        default={},
        description="The least severity of what a view finds, such as {stuck: critical}. Silence: warning unless "
        "named here.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Severity:
        if self.warning > self.critical:
            raise conflict("warning", "is more than critical; make it the smaller one", "critical")
        return self


class Grouping(Section):
    """Which alarms are told as one incident, to sinks with `grouped: true`."""

    by: Annotated[Text, AfterValidator(_pattern)] = Field(
        default="group",
        description="What belongs together: group, or a regular expression: sensors whose names begin alike by it, "
        "such as ^plant/[^/]+.",
    )
    wait: Duration = Field(
        default=30.0, ge=0, le=3600, description="How long to collect alarms before the incident is told, or told anew."
    )
    within: Duration = Field(
        default=300.0, ge=0, le=86400, description="An alarm so long after the latest of an incident begins another."
    )


class LogSink(Section):
    """Events as lines of the log."""

    enabled: bool = Field(default=True, description="Write a line for each event.")
    min_severity: SeverityName = Field(default="info", description="The least severity that is written.")
    grouped: bool = Field(default=False, description="true: a line an incident instead of a line an alarm.")


class Webhook(Section):
    """Events as HTTP POST requests."""

    name: SinkName = Field(default="webhook", description="Its name in metrics and in the log.")
    url: Annotated[Text, AfterValidator(check_url)] | None = Field(
        default=None, description="Where to POST events. null, and neither url_file nor url_env: nowhere."
    )
    url_file: File | None = Field(default=None, description="File that holds the url, where that is a secret.")
    url_env: EnvironmentName | None = Field(default=None, description="Environment variable that holds the url.")
    format: Literal["lstm_stream", "alertmanager"] = Field(
        default="lstm_stream",
        description="lstm_stream: the event document. alertmanager: as for its /api/v2/alerts.",
    )
    headers: dict[HeaderName, Text] = Field(default={}, description="Headers to send, such as {X-Site: oslo}.")
    header_files: dict[HeaderName, File] = Field(
        default={}, description="Headers whose values are secrets, each in a file of its own."
    )
    header_envs: dict[HeaderName, EnvironmentName] = Field(
        default={}, description="Headers whose values are secrets, each in an environment variable."
    )
    ca_file: File | None = Field(
        default=None, description="Certificates to trust (PEM). null: those the operating system trusts."
    )
    verify: bool = Field(default=True, description="false: believe any certificate, and so anybody in between.")
    timeout: Duration = Field(default=10.0, gt=0, le=300, description="How long to wait for an answer.")
    min_severity: SeverityName = Field(default="info", description="The least severity that is sent.")
    grouped: bool = Field(default=False, description="true: alarms that open together are sent as one incident.")

    @property
    def active(self) -> bool:
        """Whether it has an address."""
        return bool(self.url or self.url_file or self.url_env)

    @model_validator(mode="after")
    def _one_address(self) -> Webhook:
        given = [key for key in ("url", "url_file", "url_env") if getattr(self, key)]
        if len(given) > 1:
            raise conflict(given[1], f"is given beside {given[0]}; keep one of the two", given[0])
        if self.format == "alertmanager" and self.grouped:
            raise conflict("grouped", "is for people; Alertmanager groups by itself, remove it", "format")
        return self


class EventFile(Section):
    """Events as lines of JSON in a file."""

    name: SinkName = Field(default="file", description="Its name in metrics and in the log.")
    path: File | None = Field(default=None, description="File to append events to, a line each. null: none.")
    rotate: int = Field(
        default=10 * 2**20, ge=4096, description="Bytes after which the file is set aside, as path.1 and so on."
    )
    keep: int = Field(default=5, ge=0, le=1000, description="How many files to keep that were set aside.")
    min_severity: SeverityName = Field(default="info", description="The least severity that is written.")
    grouped: bool = Field(default=False, description="true: alarms that open together are written as one incident.")


class Events(Section):
    """Where anomaly events go: over MQTT, and to further places."""

    topic: EventTopic = Field(
        default="lstm_stream/{sensor}/anomaly",
        description="Topic of anomaly events; {sensor} and {group} are filled in.",
    )
    qos: Annotated[Literal[0, 1, 2], Number] = Field(
        default=1, description="0: at most once, 1: at least once, 2: exactly once."
    )
    retain: bool = Field(
        default=False, description="Let the broker show the latest event of each topic to new subscribers."
    )
    status_topic: StatusTopic = Field(
        default="lstm_stream/status", description="Topic that says online or offline (retained)."
    )
    min_severity: SeverityName = Field(default="info", description="The least severity that is published over MQTT.")
    grouped: bool = Field(
        default=False,
        description="true: alarms that open together are published as one incident, on its first's topic.",
    )
    severity: Severity = Field(default=Severity(), description="How severe an alarm is.")
    grouping: Grouping = Field(default=Grouping(), description="Alarms told as one, where grouped is true.")
    log: LogSink = Field(default=LogSink(), description="Events as lines of the log.")
    webhooks: Annotated[tuple[Webhook, ...], Strict(False)] = Field(
        default=(Webhook(),), description="Events as HTTP requests: one entry a receiver."
    )
    files: Annotated[tuple[EventFile, ...], Strict(False)] = Field(
        default=(EventFile(),), description="Events as lines of JSON: one entry a file."
    )

    @model_validator(mode="after")
    def _distinct_names(self) -> Events:
        first: dict[str, str] = {}
        named = [(f"webhooks.{k}", one.name) for k, one in enumerate(self.webhooks)]
        named += [(f"files.{k}", one.name) for k, one in enumerate(self.files)]
        for place, name in named:
            taken = first.setdefault(name, place)
            if taken != place:
                text = f"is the name of another sink, in {taken}; give each a name of its own"
                raise conflict(f"{place}.name", text, f"{taken}.name")
        return self
