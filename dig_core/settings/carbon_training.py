"""Training on crystals."""

from typing import Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from dig_core.settings.fields import Fraction, Name, Seed
from dig_core.settings.network import Noise, Optimisation


class CrystalTraining(Optimisation):
    """Denoising score matching on both parts."""

    steps: PositiveInt = Field(description="Optimiser steps")
    batch_size: PositiveInt = Field(
        description="Noised crystals per step, all of one number of atoms; each appears twice, with opposite noise"
    )
    validation_fraction: Fraction = Field(
        description="Share of the training crystals kept for the learning curve"
    )
    seed: Seed = Field(description="Seed of weights, batches and noise")


class NoiseEmphasis(Noise):
    """A range of noise of fractional coordinates that is trained more than the rest: where atoms settle into one structure or another."""

    share: Fraction = Field(description="Of the crystals of a step, whose noise is in this range")


class ScoreTraining(CrystalTraining):
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
