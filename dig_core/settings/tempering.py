"""Settings of parallel tempering: replicas at several temperatures that exchange structures."""

import itertools
from typing import Self

from pydantic import Field, PositiveFloat, model_validator

from dig_core.settings.fields import Settings


class Tempering(Settings):
    """Temperatures above the study's, and how often neighbours exchange their structures."""

    higher_temperatures_K: tuple[PositiveFloat, ...] = Field(
        min_length=1, description="Temperatures above the study's, in K, rising"
    )
    exchange_interval_ps: PositiveFloat = Field(description="Time between two attempted exchanges in ps")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        ladder = self.higher_temperatures_K
        if any(high <= low for low, high in itertools.pairwise(ladder)):
            raise ValueError(
                f"expected higher_temperatures_K to rise; got {', '.join(f'{own:g}' for own in ladder)}. Sort them"
            )
        return self


def expect_higher(tempering: Tempering, temperature_K: float, key: str) -> None:
    """Raise ValueError unless the ladder starts above the study's temperature; `key` is where it stands."""
    lowest = tempering.higher_temperatures_K[0]
    if lowest <= temperature_K:
        raise ValueError(
            f"expected {key}.higher_temperatures_K above temperature_K; got {lowest:g} and {temperature_K:g}. Leave the lower ones out"
        )
