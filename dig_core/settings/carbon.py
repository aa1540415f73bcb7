"""A study of crystals: where they come from, the network over their images, and what is drawn."""

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.carbon_property import CrystalProperty
from dig_core.settings.carbon_training import ScoreTraining
from dig_core.settings.elements import Symbol
from dig_core.settings.fields import Fraction, Name, Seed, Settings
from dig_core.settings.network import Noise
from dig_core.settings.sampling import CORRECTORS, Drawing


class CrystalTarget(Settings):
    """What is drawn: crystals of these atoms."""

    atoms: dict[Symbol, PositiveInt] = Field(
        min_length=1, description="Atoms of each element in a cell: {C: 6}"
    )
    asked: float | None = Field(
        None,
        description="Value of the study's property that the crystals are asked to have; null: whatever they have",
    )
    scale: PositiveFloat | None = Field(
        None, description="How much that weighs; null: property.guidance.scale"
    )
    examined: bool = Field(
        True,
        description="Whether samples are labelled and relaxed, where the study asks for that; false for a target that only shows what another scale costs",
    )

    @model_validator(mode="after")
    def _scale_is_of_something(self) -> Self:
        if self.scale is not None and self.asked is None:
            raise ValueError(
                "expected `asked`, which `scale` weighs; got none. Write it, or leave out `scale`"
            )
        return self


class Relaxing(Settings):
    """How crystals are brought to rest, atoms and cell, with an interatomic potential."""

    calculator: str = Field(
        "chgnet", description="ASE calculator in the table of dig_core/energies/ase.py, in its usual settings"
    )
    pressure_GPa: float = Field(0.0, description="Under which they are relaxed")
    steps: PositiveInt = Field(200, description="Steps of a relaxation at most")
    force_eV_per_angstrom: PositiveFloat = Field(
        0.05, description="At rest is what has smaller forces, also on the cell"
    )


class CrystalSearch(Relaxing):
    """Random structure search: crystals by lot, and known ones, are relaxed; what then still moves is left out."""

    cells: tuple[dict[Symbol, PositiveInt], ...] = Field(
        min_length=1, description="Atoms of a cell, taken in turn: [{C: 6}, {C: 8}]"
    )
    starts: NonNegativeInt = Field(description="Crystals by lot that are relaxed")
    jobs: PositiveInt = Field(description="Jobs among which they are divided")
    known: tuple[str, ...] = Field(
        (),
        description="Files, as in data.files, whose prototypes are relaxed as well, and come in all of their cells with the atoms of one of `cells`",
    )
    volume_per_atom_angstrom3: PositiveFloat = Field(
        description="Of crystals by lot before they are relaxed: that of dense ones; from too much room chains and sheets come"
    )
    window_eV_per_atom: PositiveFloat = Field(
        description="Kept are crystals whose enthalpy is this near to the lowest of their formula"
    )
    seed: Seed = Field(description="Seed of the lot")


class CrystalRelaxation(Relaxing):
    """Drawn crystals that are relaxed, to see how far they are from rest; their band gaps are computed too, where there are labels."""

    samples: PositiveInt = Field(description="Samples of every target that are relaxed, by lot")
    seed: Seed = Field(description="Seed of that lot")


class Crystals(Settings):
    """Crystals that a network is trained on, and how they are divided."""

    files: tuple[str, ...] = Field(
        (),
        description="CIF, POSCAR, XSF or pymatgen JSON files of a crystal each, extxyz files of one after another, or tables (csv, csv.gz) with a CIF per row in the column `cif`",
    )
    search: CrystalSearch | None = Field(
        None, description="Crystals that the workflow finds itself, beside those of `files`; null: none"
    )
    elements: tuple[Symbol, ...] = Field(min_length=1, description="Elements that crystals may have")
    largest_atoms: PositiveInt = Field(
        description="Crystals whose cell, as the file has it, holds more atoms are left out"
    )
    held_out_share: Fraction = Field(
        description="Share of the prototypes, by lot, whose crystals the network never sees; 0.0: none, otherwise at least one"
    )
    seed: Seed = Field(description="Seed of that lot")

    @model_validator(mode="after")
    def _come_from_somewhere(self) -> Self:
        if not self.files and self.search is None:
            raise ValueError("expected crystals in `files`, or a `search`; got neither. Write one of them")
        return self


class CrystalNetwork(Settings):
    """Score network over atoms and their images."""

    kind: Literal["periodic_messages"] = Field(description="Architecture")
    layers: PositiveInt = Field(description="Number of layers")
    width: PositiveInt = Field(description="Width of an atom's representation")
    functions: int = Field(
        ge=2, description="Gaussian functions of the distance, evenly spaced up to the cutoff"
    )
    cutoff_angstrom: PositiveFloat = Field(description="Images within this distance are seen")
    volume_per_atom_angstrom3: PositiveFloat = Field(
        description="Usual volume per atom: unit of cells, about the mean of the data, which `prepare_crystals` prints"
    )
    lattice_spread: PositiveFloat = Field(
        description="Unit of ln(cell): about the standard deviation of its six numbers (those off the diagonal times the root of 2), which `prepare_crystals` prints"
    )


class FractionalNoise(Noise):
    """Of coordinates with a period of 1, which more noise than this makes no more uniform."""

    sigma_max: float = Field(gt=0.0, le=0.8, description="Largest noise; 0.3 leaves distances uniform to 6 %")


class CrystalProcess(Settings):
    """Diffusion of both parts of a crystal; the noise of fractional coordinates names the level for both."""

    fractional: FractionalNoise = Field(
        description="Of fractional coordinates, wrapped at the cell's borders: in lengths of the cell"
    )
    lattice: Noise = Field(description="Of the symmetric ln(cell), in units of model.lattice_spread")


class CrystalDrawing(Drawing):
    """Drawing crystals."""

    correctors: NonNegativeInt = Field(
        CORRECTORS,
        description="Langevin steps of predictor_corrector between two time points, one network evaluation each; the other solvers have none",
    )


class CrystalEvaluation(Settings):
    """Comparison with the crystals that trained the network, and those that did not."""

    within_angstrom: PositiveFloat = Field(
        1.85, description="Atoms within this distance are bonded; carbon's bonds have 1.4 to 1.6"
    )
    shortest_angstrom: PositiveFloat = Field(
        1.2, description="Valid crystals have no two atoms closer than this"
    )
    neighbours: tuple[PositiveInt, ...] = Field(
        (3, 4), min_length=1, description="Numbers of bonds that an atom of a valid crystal may have"
    )
    near_asked: PositiveFloat = Field(
        1.0, description="Values of the property this near to one that is asked for are counted"
    )
    phases: str | None = Field(
        None,
        description="Table (csv) of crystals with the columns `phase` and `cif`: how many samples are of each of these phases; null: not counted",
    )
    noise_angstrom: PositiveFloat = Field(
        description="Baseline: training crystals whose atoms are displaced by so much in every direction"
    )
    seed: Seed = Field(description="Seed of the baselines: random cells, displacements")


class CarbonStudy(Settings):
    """Everything about one study of crystals."""

    kind: Literal["carbon"] = Field(description="Kind of system")
    targets: dict[Name, CrystalTarget] = Field(min_length=1, description="What is drawn, by name")
    data: Crystals = Field(description="Crystals that train the network")
    model: CrystalNetwork = Field(description="Score network")
    process: CrystalProcess = Field(description="Diffusion process")
    training: ScoreTraining = Field(description="Training of the score network")
    property: CrystalProperty | None = Field(
        None, description="What crystals can be asked for; null: nothing"
    )
    sampler: CrystalDrawing = Field(description="Drawing crystals")
    relaxation: CrystalRelaxation | None = Field(None, description="Relaxation of some samples; null: none")
    evaluation: CrystalEvaluation = Field(description="Comparison with known crystals")

    @model_validator(mode="after")
    def _emphasis_is_on_noise_that_there_is(self) -> Self:
        own, noise = self.training.emphasis, self.process.fractional
        if own and not noise.sigma_min <= own.sigma_min < own.sigma_max <= noise.sigma_max:
            raise ValueError(
                f"expected training.emphasis within process.fractional, {noise.sigma_min:g} to {noise.sigma_max:g};"
                f" got {own.sigma_min:g} to {own.sigma_max:g}. Narrow it"
            )
        return self

    @model_validator(mode="after")
    def _as_many_are_relaxed_as_asked(self) -> Self:
        if self.relaxation is None:
            return self
        drawn, labels = (
            self.sampler.samples,
            self.property.labels.samples if self.property and self.property.labels else 0,
        )
        if not labels <= self.relaxation.samples <= drawn:
            raise ValueError(
                f"expected between property.labels.samples, {labels}, and sampler.samples, {drawn}, in relaxation.samples;"
                f" got {self.relaxation.samples}. Relax as many as are labelled, and no more than are drawn"
            )
        return self

    @model_validator(mode="after")
    def _targets_are_like_the_data(self) -> Self:
        if self.property and self.property.labels and self.property.labels.samples > self.sampler.samples:
            raise ValueError(
                f"expected at most sampler.samples, {self.sampler.samples}, in property.labels.samples;"
                f" got {self.property.labels.samples}. Label fewer, or draw more"
            )
        for name, target in self.targets.items():
            if others := set(target.atoms) - set(self.data.elements):
                raise ValueError(
                    f"expected elements of data.elements in targets.{name}.atoms; got {', '.join(sorted(others))}. Ask for others, or add them"
                )
            if (count := sum(target.atoms.values())) > self.data.largest_atoms:
                raise ValueError(
                    f"expected at most data.largest_atoms, {self.data.largest_atoms}, in targets.{name}.atoms; got {count}."
                    " Ask for fewer atoms, or train on larger crystals"
                )
            if target.asked is not None and self.property is None:
                raise ValueError(
                    f"expected `property:`, which targets.{name}.asked needs; got none. Write it, or leave out `asked`"
                )
        return self
