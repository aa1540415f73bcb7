"""Settings of a study of densities with a known truth; `study` has those of molecules."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.adsorption import AdsorptionStudy
from dig_core.settings.carbon import CarbonStudy
from dig_core.settings.fields import Fraction, Name, Settings
from dig_core.settings.network import Optimisation, VarianceExploding, VariancePreserving
from dig_core.settings.protein import ProteinStudy
from dig_core.settings.sampling import Drawing
from dig_core.settings.study import Study


class KnownDensity(Settings):
    """What training from energies must be told of a density whose truth is known."""

    half_width: PositiveFloat = Field(
        description="Starts lie within so far of the centre in every coordinate, in the unit of the energy; 2.5 in the state's"
    )
    narrowest: PositiveFloat = Field(description="Width of the narrowest mode, about, in the energy's unit")


class MixtureTarget(KnownDensity):
    """A mixture of isotropic Gaussians in the plane."""

    energy: Literal["gaussian_mixture"] = Field(description="Energy with a known truth")
    weights: tuple[PositiveFloat, ...] = Field(min_length=1, description="Relative weights of the modes")
    means: tuple[tuple[float, float], ...] = Field(description="Centre of each mode in the plane")
    standard_deviation: PositiveFloat = Field(description="Standard deviation of every mode")

    @model_validator(mode="after")
    def _one_mean_per_weight(self) -> Self:
        if len(self.means) != len(self.weights):
            raise ValueError(
                f"expected one mean per weight; got {len(self.means)} means and {len(self.weights)} weights. Correct one"
            )
        return self


class MuellerBrownTarget(KnownDensity):
    """The surface of Müller and Brown."""

    energy: Literal["mueller_brown"] = Field(description="Energy with a known truth")
    scale: PositiveFloat = Field(description="kT in the unit of the surface, whose barriers are 36 to 106")
    centre: tuple[float, float] = Field(description="Centre of the starts")


class DoubleWellTarget(KnownDensity):
    """Particles in the plane whose pairs have two good distances each; their centre is at rest."""

    energy: Literal["double_well"] = Field(description="Energy with a known truth")
    particles: int = Field(ge=2, description="Number of particles")
    coefficients: tuple[float, float, float] = Field(
        description="a, b, c of a s + b s^2 + c s^4 of a pair, s = distance - offset"
    )
    offset: PositiveFloat = Field(description="Distance at the barrier of a pair")
    temperature: PositiveFloat = Field(description="kT in the unit of the energy")


Form = Literal["potential", "score"]


class EnergiesOnly(Optimisation):
    """Training from energies: the Fokker-Planck equation at all times, the energy at the smallest noise."""

    steps: dict[Form, PositiveInt] = Field(
        min_length=1, description="Optimiser steps of each form; one of the score costs two of the potential"
    )
    batch_size: PositiveInt = Field(description="Structures per step")
    structures: int = Field(ge=50, description="Structures of low energy, of one energy call each")
    width: PositiveInt = Field(description="Width of the hidden layers of the network")
    residual: float = Field(ge=0.0, description="Weight of the equation's residual against the boundary")
    curriculum: float = Field(
        gt=0.0,
        le=1.0,
        description="Share of training in which the times of the residual grow to the last one",
    )
    warm_up: Fraction = Field(0.1, description="Share of training in which only the boundary is learned")
    boundary: Literal["relative", "absolute", "direction"] = Field(
        "relative",
        description="Errors of the forces: relative to their size, as they are, or of the direction alone",
    )
    rescaled: bool = Field(
        True, description="Measure residuals in units of what they reach in the narrowest mode at that time"
    )
    force_decades: PositiveFloat | None = Field(
        None, description="Keep structures whose force is within so many decades of the smallest; null: all"
    )


class AnalyticStudy(Settings):
    """Training from energies alone on densities with a known truth."""

    kind: Literal["analytic"] = Field(description="Kind of system")
    targets: dict[
        Name,
        Annotated[MixtureTarget | MuellerBrownTarget | DoubleWellTarget, Field(discriminator="energy")],
    ] = Field(min_length=1, description="Densities by name")
    forms: tuple[Form, ...] = Field(
        min_length=1, description="What the network is: a potential, or a free score"
    )
    seeds: tuple[PositiveInt, ...] = Field(
        min_length=1, description="A training each: structures, weights and batches"
    )
    process: Annotated[VariancePreserving | VarianceExploding, Field(discriminator="kind")] = Field(
        description="Diffusion process"
    )
    pretraining: EnergiesOnly = Field(description="Training from energies")
    sampler: Drawing = Field(description="Drawing structures")

    @model_validator(mode="after")
    def _steps_of_every_form(self) -> Self:
        for form in set(self.forms) - set(self.pretraining.steps):
            raise ValueError(
                f"expected pretraining.steps of every form; got none of {form!r}. Add it, or remove the form"
            )
        return self


AnyStudy = Study | AnalyticStudy | ProteinStudy | CarbonStudy | AdsorptionStudy
