"""Training on crystals."""

from typing import Self

from pydantic import Field, NonNegativeInt, model_validator

from dig_core.settings.fields import Fraction, Name
from dig_core.settings.network import GroupTraining, Noise


class NoiseEmphasis(Noise):
    """A range of noise of fractional coordinates that is trained more than the rest: where atoms settle into one structure or another."""

    share: Fraction = Field(description="Of the crystals of a step, whose noise is in this range")


class ScoreTraining(GroupTraining):
    """Training of the score network."""

    start_from: Name | None = Field(
        None,
        description="Study of the same crystals whose trained network (averaged weights, same `model`) this one starts from; null: random weights",
    )
    steps: NonNegativeInt = Field(
        description="Optimiser steps; 0 takes the network of the study start_from as it is"
    )
    emphasis: NoiseEmphasis | None = Field(
        None, description="Noise that is trained more; null: ln of the noise is evenly spread"
    )

    @model_validator(mode="after")
    def _there_is_a_network(self) -> Self:
        if self.steps == 0 and self.start_from is None:
            raise ValueError("expected steps >= 1; got 0. Train, or name a study in start_from")
        return self
