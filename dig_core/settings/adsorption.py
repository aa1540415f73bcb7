"""A study of adsorption: surfaces and what sits on them, energies by a potential, the network, and what is drawn."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.elements import Symbol
from dig_core.settings.fields import Name, Seed, Settings
from dig_core.settings.network import GroupTraining, Noise
from dig_core.settings.pretraining import FokkerPlanckLoss, FromEnergies
from dig_core.settings.sampling import Drawing

STRUCTURES = Literal["fcc", "hcp", "bcc", "L1_2", "L1_0", "B2", "random"]
PARTS = {
    "L1_2": (3, 1),
    "L1_0": (1, 1),
    "B2": (1, 1),
}  # of two elements; others have one, random alloys several
LENGTHENED = ("hcp", "L1_0")  # whose axes may have another ratio than the ideal one
ADSORBATES = Literal["H", "C", "N", "O", "CO", "NO", "CH", "NH", "OH"]  # the atom that binds comes first


class CutSurface(Settings):
    """A surface that is cut from a crystal."""

    composition: dict[Symbol, PositiveInt] = Field(
        min_length=1, description="Atoms of each element in the formula of the crystal: {Pt: 3, Sn: 1}"
    )
    structure: STRUCTURES = Field(description="Of the crystal; random: a random alloy on the sites of fcc")
    miller: tuple[int, ...] = Field(
        min_length=3, max_length=4, description="Indices of the plane: [1, 1, 1]; four of hcp"
    )
    lattice_angstrom: float | None = Field(
        None, ge=1.0, description="Lattice constant a of the conventional cell; null: that of the calculator"
    )
    c_angstrom: float | None = Field(
        None, ge=1.0, description="The other one, of hcp and L1_0; null: the ideal"
    )
    repeat: tuple[PositiveInt, PositiveInt] = Field((2, 2), description="Surface cells")
    layers: PositiveInt = Field(4, description="Layers of atoms")
    vacuum_angstrom: float = Field(15.0, ge=8.0, description="Above the uppermost layer")
    seed: Seed = Field(0, description="Of a random alloy: which element sits where")

    @model_validator(mode="after")
    def _elements_are_those_of_the_structure(self) -> Self:
        amounts = sorted(self.composition.values(), reverse=True)
        if parts := PARTS.get(self.structure):
            fits = len(amounts) == 2 and amounts[0] * parts[1] == amounts[1] * parts[0]
            shape = f"two elements as {parts[0]}:{parts[1]}"
        elif self.structure == "random":
            fits, shape = len(amounts) > 1, "at least two elements"
        else:
            fits, shape = len(amounts) == 1, "one element"
        if not fits:
            raise ValueError(
                f"expected {shape} in a crystal {self.structure}; got {self.composition}. Change the composition or the structure"
            )
        return self

    @model_validator(mode="after")
    def _indices_are_those_of_a_plane(self) -> Self:
        is_four = len(self.miller) == 4 and self.structure == "hcp" and sum(self.miller[:3]) == 0
        if not any(self.miller) or not (len(self.miller) == 3 or is_four):
            raise ValueError(
                f"expected three Miller indices, not all 0, or four h, k, -h-k, l of hcp; got {list(self.miller)}. Correct `miller`"
            )
        return self

    @model_validator(mode="after")
    def _lattice_is_known(self) -> Self:
        if self.lattice_angstrom is None and (self.structure == "random" or self.c_angstrom is not None):
            raise ValueError(
                "expected lattice_angstrom of a random alloy, and with c_angstrom; got none. Write it"
            )
        return self

    @model_validator(mode="after")
    def _ratio_is_free(self) -> Self:
        if self.c_angstrom is not None and self.structure not in LENGTHENED:
            raise ValueError(
                f"expected no c_angstrom of {self.structure}; got {self.c_angstrom:g}. Remove it"
            )
        return self


class AdsorptionTarget(Settings):
    """An atom or a molecule on one surface."""

    surface: CutSurface | None = Field(None, description="The surface, cut from a crystal")
    slab: str | None = Field(
        None,
        description="In place of it a file of a slab (CONTCAR, extxyz, cif, ...) that need not be at rest",
    )
    adsorbate: ADSORBATES = Field(description="What is adsorbed, the atom that binds first")
    held_out: bool = Field(False, description="Not trained on")

    @model_validator(mode="after")
    def _is_on_one_surface(self) -> Self:
        if (self.surface is None) == (self.slab is None):
            raise ValueError(
                f"expected `surface` or `slab`; got {'both' if self.surface else 'neither'}. Write one of them"
            )
        return self


class AdsorptionEnergies(Settings):
    """Energies over the cell of every surface, from which structures are drawn by their Boltzmann weight."""

    calculator: str = Field(description="ASE calculator in the table of dig_core/energies/ase.py")
    points: PositiveInt = Field(
        description="Of the map along each side of the surface cell: every 0.2 Angstrom or so, a multiple of 6 for each repeated cell, so that sites are among them"
    )
    fixed_layers: int = Field(
        ge=0, description="Lowest layers that stay as they are cut while the clean slab relaxes"
    )
    force_eV_per_angstrom: PositiveFloat = Field(0.05, description="At rest is what has smaller forces")
    steps: PositiveInt = Field(200, description="Steps of that relaxation at most")
    structures: PositiveInt = Field(description="Drawn for every target that is trained on")
    seed: Seed = Field(description="Seed of these")
    bundled: str | None = Field(
        None,
        description="Folder of dig_core/data/bundled whose slabs and energies are taken where they have these settings; null: none",
    )


class SurfaceNetwork(Settings):
    """Score network of adsorbates."""

    kind: Literal["surface_messages"] = Field(description="Architecture")
    layers: PositiveInt = Field(description="Layers of messages to the adsorbate")
    slab_layers: PositiveInt = Field(description="Layers of messages within the slab, once for a target")
    width: PositiveInt = Field(description="Width of an atom's representation")
    functions: int = Field(
        ge=2, description="Gaussian functions of the distance, evenly spaced up to the cutoff"
    )
    cutoff_angstrom: PositiveFloat = Field(description="Images within this distance are seen")
    height_mean_angstrom: float = Field(
        description="About the mean height of adsorbed atoms above the uppermost one of the slab, which `prepare_adsorption` prints"
    )
    height_spread_angstrom: PositiveFloat = Field(description="About its standard deviation")


class SurfaceProcess(Settings):
    """Diffusion of an adsorbate; the noise in the plane names the level for both."""

    plane: Noise = Field(
        description="In Angstrom; 0.4 times the longer side of a cell leaves nothing of where an atom was"
    )
    height: Noise = Field(description="In units of model.height_spread_angstrom")


class SurfaceDensity(Settings):
    """Log density over the points of the energy map, the largest over heights."""

    heights: Literal[3, 5, 7, 9] = Field(5, description="At which the density above a point is computed")
    height_step_angstrom: PositiveFloat = Field(
        0.1, description="Between them; they lie about the height that the network leads to"
    )
    tolerance: PositiveFloat = Field(
        0.05, description="In nats: steps are doubled until no log density changes by more"
    )
    batch_size: PositiveInt = Field(500, description="Positions that follow their paths together")
    held_out_only: bool = Field(False, description="Not of targets that train the network")


class AdsorptionEvaluation(Settings):
    """Comparison with the sites of the energy map, and with atoms that are put anywhere."""

    window_eV: PositiveFloat = Field(0.5, description="Sites are minima this near to the lowest")
    within_angstrom: PositiveFloat = Field(0.5, description="A sample this near to a site covers it")
    per_site: tuple[PositiveInt, ...] = Field((1, 3, 10), description="Samples for each site of the coverage")
    known: str | None = Field(
        None,
        description="Table (csv) of known adsorption energies on fcc(111), with the columns metal, adsorbate, site (top, bridge, fcc, hcp) and energy_eV; null: none",
    )
    seed: Seed = Field(description="Seed of the baseline")


class AdsorptionPretraining(FromEnergies):
    """Training of adsorbed atoms from the energies of their maps before that on structures (PIDP)."""

    structures: int = Field(
        ge=2, description="Of every target: anywhere over its cell, at heights as at the temperature"
    )
    loss: FokkerPlanckLoss = Field(description="What is learned from them")

    @model_validator(mode="after")
    def _the_score_is_free(self) -> Self:
        if self.loss.form != "score":
            raise ValueError(
                f"expected loss.form: score, which adsorbates have; got {self.loss.form}. Write score"
            )
        return self


class AdsorptionStudy(Settings):
    """Everything about one study of adsorption."""

    kind: Literal["adsorption"] = Field(description="Kind of system")
    temperature_K: PositiveFloat = Field(description="Of which structures are drawn; kT is 0.17 eV at 2000 K")
    targets: dict[Name, AdsorptionTarget] = Field(min_length=1, description="Surfaces and adsorbates by name")
    data: AdsorptionEnergies = Field(description="Energies")
    model: SurfaceNetwork = Field(description="Score network")
    process: SurfaceProcess = Field(description="Diffusion process")
    pretraining: AdsorptionPretraining | None = Field(
        None, description="Training from energies before that on structures; null: none"
    )
    training: GroupTraining = Field(description="Training")
    sampler: Drawing = Field(description="Drawing adsorbates")
    density: SurfaceDensity | None = Field(None, description="Density over the surface; null: none")
    evaluation: AdsorptionEvaluation = Field(description="Comparison with the sites")

    @model_validator(mode="after")
    def _density_is_one_of_atoms(self) -> Self:
        molecules = [name for name, own in self.targets.items() if len(own.adsorbate) > 1]
        if self.density and molecules:
            raise ValueError(
                f"expected no density over the surface of molecules; got one, and {molecules[0]}. Remove `density`, or what is no atom"
            )
        return self

    @model_validator(mode="after")
    def _energies_are_those_of_atoms(self) -> Self:
        molecules = [n for n, own in self.targets.items() if len(own.adsorbate) > 1 and not own.held_out]
        self._expect_fine_noise()
        if self.pretraining and molecules:
            raise ValueError(
                f"expected no pretraining with molecules; got one, and {molecules[0]}. Remove `pretraining`, or what is no atom"
            )
        return self

    def _expect_fine_noise(self) -> None:
        """Forces are the score only where the noise is finer than sites."""
        for field, noise in (("plane", self.process.plane), ("height", self.process.height)):
            if self.pretraining and noise.sigma_min > 1.001 * self.pretraining.loss.narrowest / 3.0:
                raise ValueError(
                    f"expected process.{field}.sigma_min of at most a third of pretraining.loss.narrowest, {self.pretraining.loss.narrowest / 3.0:.2g}; got {noise.sigma_min:g}."
                    " Forces are the score where the noise is narrower than sites"
                )

    @model_validator(mode="after")
    def _some_density_is_wanted(self) -> Self:
        held_out = any(target.held_out for target in self.targets.values())
        if self.density and self.density.held_out_only and not held_out:
            raise ValueError(
                "expected a target that is held out with density.held_out_only; got none. Leave `density` out, or hold one out"
            )
        return self

    @model_validator(mode="after")
    def _some_targets_train(self) -> Self:
        if all(target.held_out for target in self.targets.values()):
            raise ValueError(
                "expected a target that is trained on; got held_out: true for all. Remove it from one"
            )
        return self
