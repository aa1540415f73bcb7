"""A property that crystals can be asked for: how it is learned, how much it weighs, and how it is computed."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.elements import Symbol
from dig_core.settings.fields import Name, Seed, Settings
from dig_core.settings.network import GroupTraining

LABELLED = "band_gap_eV"  # what electronic-structure codes are asked for


class Guidance(Settings):
    """How much what is asked for weighs."""

    by: Literal["network", "predictor"] = Field(
        "network",
        description="What tells the property while crystals are drawn: the network of noised crystals, or property.predictor of denoised ones",
    )
    scale: PositiveFloat = Field(
        description="Power of the likelihood of what is asked for: 1.0 is the rule of Bayes, more insists"
    )
    largest_noise: PositiveFloat = Field(
        0.8, description="Of fractional coordinates: nothing is asked of crystals with more"
    )


class Labels(Settings):
    """Band gaps of crystals by an electronic-structure code: of drawn ones, each a job of its own, and of known ones."""

    kind: Literal["quantum_espresso", "gpaw"] = Field(
        description="Code: its program pw.x, or the package gpaw, must be installed"
    )
    samples: PositiveInt = Field(description="Samples of every target that are labelled, by lot")
    known: PositiveInt | None = Field(
        None,
        description="Jobs among which the prototypes of data.files are divided: the first crystal of each is labelled, for all of them; null: the tables have the column",
    )
    seed: Seed = Field(description="Seed of that lot")
    cutoff_Ry: PositiveFloat = Field(30.0, description="Of plane waves")
    k_spacing_per_angstrom: PositiveFloat = Field(
        0.25, description="Largest distance of k points, with the factor 2 pi"
    )
    smallest_gap_eV: PositiveFloat = Field(0.3, description="With less a crystal counts as a metal")
    pseudopotentials: dict[Symbol, str] = Field(
        {"C": "C.pbe-rrkjus.UPF"}, description="Files of the elements; gpaw has its own"
    )
    folder: str = Field(
        "/usr/share/espresso/pseudo", description="Where they are; Debian: quantum-espresso-data"
    )


class CrystalProperty(Settings):
    """A property that crystals can be asked for: a network of the sizes of `model` tells it from noised crystals."""

    column: Name = Field(
        description="Of the tables in data.files, with its unit at the end: band_gap_eV; with labels.known it is computed and need not be there. Crystals without a number do not train this network"
    )
    table: str | None = Field(
        None,
        description="Table (csv) of this column and one more that the tables in data.files have too, by which crystals are told apart; null: the column is in data.files",
    )
    modes: PositiveInt = Field(description="Normal distributions whose mixture it is told as")
    centre: float = Field(description="About the mean of usual values")
    spread: PositiveFloat = Field(description="About their standard deviation")
    tolerance: PositiveFloat = Field(description="Values this near are the same: the smallest uncertainty")
    predictor: str | None = Field(
        None,
        pattern=r"\.py$",
        description="Python file with a function `predict` of fractional coordinates [batch, atoms, 3], lattices in Angstrom [batch, 3, 3] and atomic numbers [batch, atoms], torch tensors, that returns the property [batch]; null: none",
    )
    guidance: Guidance = Field(description="Towards `asked` of a target")
    labels: Labels | None = Field(
        None, description="What samples really have, where the property is the band gap; null: not computed"
    )
    training: GroupTraining = Field(description="Training of that network")

    @model_validator(mode="after")
    def _labels_are_of_the_property(self) -> Self:
        if self.labels and self.column != LABELLED:
            raise ValueError(
                f"expected column: {LABELLED}, which labels are; got {self.column}. Write labels: null"
            )
        return self

    @model_validator(mode="after")
    def _guided_by_what_is_there(self) -> Self:
        if self.guidance.by == "predictor" and self.predictor is None:
            raise ValueError(
                "expected predictor, a Python file, with guidance.by: predictor; got none. Name one, or write by: network"
            )
        return self

    @model_validator(mode="after")
    def _known_or_computed(self) -> Self:
        if self.table and self.labels and self.labels.known:
            raise ValueError(
                f"expected a table or labels.known, which computes what it holds; got {self.table} and {self.labels.known} jobs. Leave one out"
            )
        return self

    @property
    def units(self) -> dict[str, float]:
        """What its network is built from, beside the settings `model`."""
        return self.model_dump(include={"modes", "centre", "spread", "tolerance"})
