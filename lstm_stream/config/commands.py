"""Commands over MQTT."""

from __future__ import annotations

from pydantic import Field, model_validator

from lstm_stream.config.section import Section, conflict
from lstm_stream.config.values import StatusTopic


class Commands(Section):
    """What people may ask of the daemon over MQTT. Whoever may publish there is obeyed: the broker's rules guard it."""

    enabled: bool = Field(default=False, description="Obey commands that come over MQTT.")
    topic: StatusTopic = Field(
        default="lstm_stream/command", description="Topic of commands; topics below it name the verb as well."
    )
    reply_topic: StatusTopic = Field(default="lstm_stream/reply", description="Topic of the answers.")

    @model_validator(mode="after")
    def _apart(self) -> Commands:
        if f"{self.reply_topic}/".startswith(f"{self.topic}/"):
            raise conflict("reply_topic", "is a topic of commands; write another one", "topic")
        return self
