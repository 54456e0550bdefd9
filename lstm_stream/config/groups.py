"""Groups of sensors: the alarm budget, the views, the LSTM and its training."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, PrivateAttr, Strict, field_validator, model_validator

from lstm_stream.config.section import Section, conflict
from lstm_stream.config.start import BASE, Start, read_start, shipped
from lstm_stream.config.values import WEEK, Budget, Duration, File
from lstm_stream.lstm.names import CellName

ViewName = Literal["forecast", "burst", "level", "surprise", "shape", "clock", "drift", "range", "stuck", "silence"]
VIEWS: tuple[ViewName, ...] = get_args(ViewName)


class Model(Section):
    """The LSTM and its training."""

    cell: CellName = Field(
        default="standard",
        description="Variant of the LSTM cell: standard, peephole, coupled, elysium or ltms (which sees gaps).",
    )
    hidden: int = Field(default=16, ge=1, le=256, description="Hidden units. More cost more, and rarely find more.")
    weights: Literal["own", "shared"] = Field(
        default="own",
        description="own: each sensor learns its own weights. shared: all sensors of the group learn one set.",
    )
    seed: int = Field(default=1, ge=0, lt=2**63, description="Where the random numbers start: same seed, same scores.")
    start_from: File | None = Field(
        default=BASE,
        description="Weights that new sensors start from: a file as `lstm-stream pretrain` makes them. base: those of "
        "the package, where it has some for the model. null: random ones.",
    )
    _start: Start | None = PrivateAttr(default=None)

    def start(self, channels: int) -> Start | None:
        """The weights that sensors of so many channels start from; None where they are random."""
        return shipped(self.cell, self.hidden, channels) if self.start_from == BASE else self._start

    @model_validator(mode="after")
    def _read_start(self) -> Model:
        if self.start_from in (None, BASE) or self._start is not None:
            return self
        try:
            found = read_start(self.start_from)
        except ValueError as error:
            raise conflict("start_from", str(error)) from None
        if (found.shape.cell, found.shape.hidden) != (self.cell, self.hidden):
            text = (
                f"was made for cell {found.shape.cell} with hidden {found.shape.hidden}, but here it is {self.cell} "
                f"with {self.hidden}; write cell: {found.shape.cell} and hidden: {found.shape.hidden}, or make another "
                "file with lstm-stream pretrain"
            )
            raise conflict("start_from", text, "cell", "hidden")
        self._start = found
        return self


class Retraining(Section):
    """Online learning: when, with what, and whether to adopt."""

    enabled: bool = Field(default=True, description="Keep learning while running.")
    every: int = Field(default=512, ge=32, description="Samples of a sensor between two rounds of training.")
    history: int = Field(default=1024, ge=128, description="Latest samples of a sensor to keep and train on.")
    lag: int = Field(
        default=48, ge=1, description="Samples between the start of a round and the adoption of its weights."
    )
    epochs: int = Field(default=4, ge=1, description="Passes over the history in one round.")
    learning_rate: float = Field(default=4e-3, gt=0, le=1, description="Step size of the Adam optimiser.")
    clip: float = Field(default=1.0, gt=0, description="Largest norm of a gradient; longer ones are scaled down.")
    patience: Duration = Field(
        default=10.0, ge=0, description="How long the line waits for an overdue round of training."
    )


_WARMUP, _LONGEST_WARMUP = 200, 512  # samples
_WARMUP_EACH = 48  # of a channel: smoothed as the detector smooths them, they are worth two independent ones


class Group(Section):
    """Sensors of one kind: they share hyper-parameters and, with `weights: shared`, one weight matrix."""

    false_alarms: Budget = Field(
        default=1 / WEEK,
        description="The alarm budget: how many false alarms you accept, per sensor per hour, day, week, ...",
    )
    warmup: Annotated[int, Field(ge=64)] | None = Field(
        default=None,
        description="Samples of a sensor before its first alarm. null: 200; 48 for each channel and one more from four "
        "channels on, 512 at most.",
    )
    accept_after: Duration = Field(
        default=3 * 86400.0, gt=0, description="An alarm open for so long is taken for the new normal."
    )
    views: Annotated[tuple[ViewName, ...], Strict(False)] = Field(
        default=VIEWS,
        description="What may raise an alarm. Leave out what your sensors do all the time, such as stuck or silence.",
    )
    profile: Literal["full", "lean"] = Field(
        default="full",
        description="full: everything known of a sensor, about 20 KB. lean: 2 KB, for fleets of a million; without the "
        "views surprise, shape and clock, and with shared weights only.",
    )
    model: Model = Field(default=Model(), description="The LSTM that forecasts.")
    retraining: Retraining = Field(default=Retraining(), description="Online learning.")

    def warmup_of(self, channels: int) -> int:
        """Samples before the first alarm of a sensor with so many channels: enough to tell how they go together."""
        if self.warmup is not None:
            return self.warmup
        return min(max(_WARMUP, _WARMUP_EACH * (channels + 1)), _LONGEST_WARMUP)

    @model_validator(mode="after")
    def _lean_means_shared(self) -> Group:
        if self.profile == "lean" and self.model.weights == "own":
            raise conflict("profile", "is lean, which needs one set of weights for all; write weights: shared", "model")
        return self

    @field_validator("views")
    @classmethod
    def _some_view(cls, views: tuple[ViewName, ...]) -> tuple[ViewName, ...]:
        if not views:
            raise ValueError("is an empty list; write at least one view, or remove the key")
        return views
