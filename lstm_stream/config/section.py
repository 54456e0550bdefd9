"""What all sections of the configuration have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


def conflict(at: str, text: str, *involved: str) -> PydanticCustomError:
    """An error between options. `at` and `involved` are dotted paths below the section whose validator raises it."""
    return PydanticCustomError("conflict", "{text}", {"text": text, "at": at, "involved": [at, *involved]})


class Section(BaseModel):
    """Common to all sections: unknown keys are errors, values are taken literally and frozen after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: object) -> object:
        return {} if value is None else value  # `tls:` with all its lines commented out
