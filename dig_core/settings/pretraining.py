"""Settings of the training from energies and forces that may come before that on frames."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.fields import Fraction, Seed, Settings, expect_multiple
from dig_core.settings.tempering import Tempering, expect_rounds
from dig_core.units import PS_PER_FS


class HotDynamics(Settings):
    """Plain dynamics at a higher temperature: structures of low energy in several basins, without useful weights."""

    kind: Literal["hot_dynamics"] = Field(description="How structures are found")
    temperature_K: PositiveFloat = Field(description="Temperature of the dynamics in K")
    duration_ns: PositiveFloat = Field(description="Time in ns")
    frame_interval_ps: PositiveFloat = Field(description="Time between two structures in ps")


class BiasedDynamics(Settings):
    """Dynamics with the bias of `data.bias`: structures with the weights of the study's temperature."""

    kind: Literal["biased_dynamics"] = Field(description="How structures are found")
    build_duration_ns: PositiveFloat = Field(
        description="Time during which the bias grows in ns; not analysed"
    )
    duration_ns: PositiveFloat = Field(description="Time after that in ns")
    frame_interval_ps: PositiveFloat = Field(description="Time between two structures in ps")


class ParallelTempering(Tempering):
    """Replicas at several temperatures that exchange structures: those at the study's temperature, equally weighted."""

    kind: Literal["parallel_tempering"] = Field(description="How structures are found")
    duration_ns: PositiveFloat = Field(description="Time of each replica in ns")
    frame_interval_ps: PositiveFloat = Field(description="Time between two structures in ps")

    @model_validator(mode="after")
    def _whole_rounds(self) -> Self:
        expect_multiple(
            "exchange_interval_ps", self.exchange_interval_ps, "frame_interval_ps", self.frame_interval_ps
        )
        expect_rounds(self, self.duration_ns)
        return self


class DenoisingLoss(Settings):
    """Denoising of the structures by weight; they stay in the mix while the study's own frames train."""

    kind: Literal["denoising"] = Field(description="What is learned from the structures")


class FokkerPlanckLoss(Settings):
    """The Fokker-Planck equation at all times and the forces at the smallest noise (PIDP)."""

    kind: Literal["fokker_planck"] = Field(description="What is learned from the structures")
    form: Literal["score", "potential"] = Field(
        description="score: the paper's free vector; potential: log q, of which the score is the gradient"
    )
    narrowest: PositiveFloat = Field(
        description="Width of the stiffest vibration in standard deviations of the data, of adsorbates that of a site in Angstrom and in spreads of the height: the scale of residuals"
    )
    residual: PositiveFloat = Field(description="Weight of the residual against the boundary")
    curriculum: Fraction = Field(
        gt=0.0, description="Share of the steps in which the times of the residual grow from 0 to 1"
    )


class ForceLoss(Settings):
    """The score of the energy's harmonic expansion as target at small noise."""

    kind: Literal["forces"] = Field(description="What is learned from the structures")
    largest_noise: PositiveFloat = Field(
        description="Up to which noise the expansion is trusted, in standard deviations of the data"
    )


class FromEnergies(Settings):
    """A training from energies before that on structures: its steps."""

    steps: PositiveInt = Field(description="Optimiser steps")
    batch_size: PositiveInt = Field(description="Structures per step")
    learning_rate: PositiveFloat = Field(description="Largest learning rate")
    warmup_steps: int = Field(ge=0, description="Steps of linear warm-up")
    seed: Seed = Field(description="Seed of the structures, of the initial weights and of the noise")


class Pretraining(FromEnergies):
    """Training from energies and forces before the training on frames."""

    structures: Annotated[HotDynamics | BiasedDynamics | ParallelTempering, Field(discriminator="kind")] = (
        Field(description="Structures that the force field is asked about")
    )
    loss: Annotated[DenoisingLoss | FokkerPlanckLoss | ForceLoss, Field(discriminator="kind")] = Field(
        description="What is learned from them"
    )

    @model_validator(mode="after")
    def _denoising_has_weights(self) -> Self:
        if self.loss.kind == "denoising" and self.structures.kind == "hot_dynamics":
            raise ValueError(
                "expected structures with weights for loss.kind: denoising; got hot_dynamics."
                " Use biased_dynamics or parallel_tempering"
            )
        return self


def expect_whole_steps(pretraining: Pretraining, timestep_fs: float) -> None:
    """Raise ValueError unless structures are a whole number of integration steps apart."""
    interval = pretraining.structures.frame_interval_ps
    expect_multiple(
        "pretraining.structures.frame_interval_ps", interval, "data.timestep_fs", timestep_fs * PS_PER_FS
    )
