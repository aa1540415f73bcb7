"""Settings of parallel tempering: replicas at several temperatures that exchange structures."""

import itertools
from typing import Self

from pydantic import Field, PositiveFloat, model_validator

from dig_core.settings.fields import Settings
from dig_core.units import PS_PER_NS


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


def expect_rounds(tempering: Tempering, duration_ns: float) -> None:
    """Raise ValueError unless the replicas exchange at least once."""
    if duration_ns * PS_PER_NS < tempering.exchange_interval_ps:
        raise ValueError(
            f"expected duration_ns of at least one exchange_interval_ps, {tempering.exchange_interval_ps:g} ps; got {duration_ns:g} ns."
            " Run longer"
        )


def expect_higher(tempering: Tempering, temperature_K: float, key: str) -> None:
    """Raise ValueError unless the ladder starts above the study's temperature; `key` is where it stands."""
    lowest = tempering.higher_temperatures_K[0]
    if lowest <= temperature_K:
        raise ValueError(
            f"expected {key}.higher_temperatures_K above temperature_K; got {lowest:g} and {temperature_K:g}. Leave the lower ones out"
        )
