"""A study of proteins: residues as rigid bodies, sequences that train and sequences that are held out."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.data import Dynamics
from dig_core.settings.fields import Fraction, Name, Settings, expect_multiple, suggestion
from dig_core.settings.network import Blocks, BrownianRotations, Training, VarianceExploding
from dig_core.settings.pretraining import Pretraining, expect_whole_steps
from dig_core.settings.protein_evaluation import KnownStates, ProteinEvaluation
from dig_core.settings.protein_targets import ProteinTarget
from dig_core.settings.sampling import Sampler, StatePath
from dig_core.settings.tempering import Tempering, expect_higher, expect_rounds


class ProteinDynamics(Dynamics):
    """One run of molecular dynamics of a protein."""

    constraints: Literal["bonds_to_hydrogen"] | None = Field(
        None, description="Bonds that are kept rigid, for a longer step; null: none"
    )
    tempering: Tempering | None = Field(
        None,
        description="Parallel tempering: each run has replicas at higher temperatures, of duration_ns each; null: plain dynamics",
    )

    @model_validator(mode="after")
    def _whole_rounds(self) -> Self:
        if self.tempering is not None:
            interval = self.tempering.exchange_interval_ps
            key = "tempering.exchange_interval_ps"
            expect_multiple(key, interval, "frame_interval_ps", self.frame_interval_ps)
            expect_multiple("checkpoint_interval_ps", self.checkpoint_interval_ps, key, interval)
            expect_rounds(self.tempering, self.duration_ns)
        return self


class FirstFrames(Settings):
    """Fewer training frames than there are: what can be learned from a short simulation."""

    frames: int = Field(ge=20, description="Frames of each target, from the beginning of its first replica")


class ProteinSimulate(ProteinDynamics):
    """Molecular dynamics of every target: independent replicas, made by the workflow or bundled with it."""

    source: Literal["simulate"] = Field(description="The workflow runs the molecular dynamics")
    replicas: int = Field(ge=2, description="Independent runs: the last one is held out, the others train")
    bundled: Name | None = Field(
        description="Folder of data/bundled: replicas in it of just these settings are taken, others simulated; null: simulate all"
    )
    bias: None = Field(None, description="Always null: dynamics without a bias")
    simulations_of: None = Field(None, description="Always null: own replicas")
    competitor_duration_ns: None = Field(None, description="Always null: none is run")
    tight_reference: None = Field(None, description="Always null: there is none")
    subset: FirstFrames | None = Field(None, description="Train on the first frames only; null: on all")
    discarded_ns: float = Field(
        0.0,
        ge=0.0,
        description="Beginning of each replica that is left out, in ns: while it still remembers where it started",
    )

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.discarded_ns >= self.duration_ns:
            raise ValueError(
                f"expected discarded_ns below duration_ns, {self.duration_ns:g}; got {self.discarded_ns:g}. Discard less"
            )
        return self

    def dynamics(self, replica: str) -> ProteinDynamics:
        """Return the settings of one run: replica '1', '2', ..."""
        values = {name: getattr(self, name) for name in ProteinDynamics.model_fields}
        return ProteinDynamics(**values | {"seed": self.seed + int(replica)})


class ProteinStructures(Settings):
    """The known structures of every target are its frames, each with the same weight; nothing is simulated."""

    source: Literal["structures"] = Field(description="The files under `states` of every target")
    force_field: None = Field(None, description="Always null: nothing is simulated")
    replicas: None = Field(None, description="Always null: nothing is simulated")
    bundled: None = Field(None, description="Always null: nothing is simulated")
    simulations_of: None = Field(None, description="Always null: nothing is simulated")
    competitor_duration_ns: None = Field(None, description="Always null: nothing is simulated")
    tight_reference: None = Field(None, description="Always null: there is none")
    subset: None = Field(None, description="Always null: all structures train")


class ProteinTrajectories(Settings):
    """Molecular dynamics that the user already has, under `trajectory` of every target; nothing is simulated."""

    source: Literal["trajectory"] = Field(description="The files under `trajectory` of every target")
    force_field: None = Field(None, description="Always null: nothing is simulated")
    replicas: None = Field(None, description="Always null: they stand under `trajectory` of every target")
    bundled: None = Field(None, description="Always null: nothing is simulated")
    simulations_of: None = Field(None, description="Always null: nothing is simulated")
    competitor_duration_ns: None = Field(None, description="Always null: nothing is simulated")
    tight_reference: None = Field(None, description="Always null: there is none")
    subset: None = Field(None, description="Always null: all frames train")


class FrameNetwork(Blocks):
    """Score network over residue frames."""

    kind: Literal["frame_graphormer"] = Field(description="Architecture")
    pair_width: PositiveInt = Field(description="Width of a pair's representation")
    points: PositiveInt = Field(description="Points per head that residues look for in space")
    scale_angstrom: PositiveFloat = Field(
        description="Unit of all lengths in Angstrom: about the standard deviation of the C-alpha coordinates, which training prints"
    )
    single_features: NonNegativeInt = Field(
        0, description="Features of `single` in the targets' `embeddings`; 0: not used"
    )
    pair_features: NonNegativeInt = Field(
        0, description="Features of `pair` in the targets' `embeddings`; 0: not used"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Of matrix products while training and drawing on a GPU; positions stay in float32",
    )
    compile: bool = Field(
        False,
        description="Compile the network (torch.compile) for training and drawing on a GPU: a minute, then faster",
    )


class FrameProcess(Settings):
    """Diffusion of positions and of orientations, with one time."""

    positions: VarianceExploding = Field(description="Of C-alpha positions, in units of model.scale_angstrom")
    rotations: BrownianRotations = Field(description="Of the residues' orientations")


class FrameTraining(Training):
    """Denoising score matching of positions and orientations together, on frames of equal weight."""

    draw_exponent: None = Field(None, description="Always null: all frames of a target weigh the same")
    control_variate: None = Field(None, description="Always null: plain denoising")
    validation_fraction: Fraction = Field(
        description="Share of the training frames kept for the learning curve; 0.0: none, it shows the training frames with other noise"
    )


class ProteinStudy(Settings):
    """Everything about one study of proteins: one file config/systems/<name>.yaml."""

    kind: Literal["protein"] = Field(description="Kind of system")
    temperature_K: PositiveFloat = Field(description="Temperature of data, model and reference in K")
    targets: dict[Name, ProteinTarget] = Field(min_length=1, description="Proteins by name")
    data: Annotated[
        ProteinSimulate | ProteinStructures | ProteinTrajectories, Field(discriminator="source")
    ] = Field(description="Where the structures come from")
    model: FrameNetwork = Field(description="Score network")
    process: FrameProcess = Field(description="Diffusion process")
    training: FrameTraining = Field(description="Training of the score network")
    sampler: Sampler = Field(description="Drawing structures")
    evaluation: ProteinEvaluation = Field(
        description="Comparison with the reference, or with known structures"
    )
    pretraining: Pretraining | None = Field(
        None,
        description="Training from energies that comes first, of the targets that are trained on; null: none",
    )
    density: None = Field(None, description="Always null: none")
    interpolation: StatePath | None = Field(
        None,
        description="A path between two known structures of every target, for data.source structures; null leaves it out",
    )

    @model_validator(mode="after")
    def _nothing_of_molecules(self) -> Self:
        """Backbones have no energies, and their states are none of one residue."""
        asked = {
            "sampler.relaxation": self.sampler.relaxation,
            "evaluation.sampler_comparison": self.evaluation.sampler_comparison,
            "evaluation.states": getattr(self.evaluation, "states", None),
        }
        for key, value in asked.items():
            if value:
                raise ValueError(f"expected no {key} for proteins; got some. Remove it")
        return self

    @model_validator(mode="after")
    def _pretraining_is_of_residues(self) -> Self:
        """Forces on rigid residues have no Hessians, frames no potential, and dynamics no bias."""
        own = self.pretraining
        if own is None:
            return self
        if self.data.source != "simulate":
            raise ValueError(
                f"expected data.source: simulate where there is pretraining; got {self.data.source}. Write pretraining: null"
            )
        expect_whole_steps(own, self.data.timestep_fs)
        self._expect_fine_noise()
        form = getattr(own.loss, "form", "score")
        for key, value, known in (
            ("structures.kind", own.structures.kind, ("hot_dynamics", "parallel_tempering")),
            ("loss.kind", own.loss.kind, ("denoising", "fokker_planck")),
            ("loss.form", form, ("score",)),
        ):
            if value not in known:
                raise ValueError(
                    f"expected {' or '.join(known)} in pretraining.{key} for proteins; got {value}. Choose one of these"
                )
        return self

    @model_validator(mode="after")
    def _tempering_is_hotter(self) -> Self:
        tempering = getattr(self.data, "tempering", None)
        if tempering is not None:
            expect_higher(tempering, self.temperature_K, "data.tempering")
        structures = self.pretraining.structures if self.pretraining else None
        if isinstance(structures, Tempering):
            expect_higher(structures, self.temperature_K, "pretraining.structures")
        return self

    @model_validator(mode="after")
    def _folded_structures_are_known(self) -> Self:
        wanted = getattr(self.evaluation, "folded", None) is not None
        for name, target in self.targets.items() if wanted else ():
            if target.pdb is None:
                raise ValueError(
                    f"expected pdb in targets.{name}, which is folded by evaluation.folded; got none."
                    " Name the file with its folded structure, or write evaluation.folded: null"
                )
        return self

    def _expect_fine_noise(self) -> None:
        """Forces are the score only where the noise is finer than the stiffest vibration."""
        if self.pretraining.loss.kind != "fokker_planck":
            return
        finest = self.pretraining.loss.narrowest / 3.0
        found = self.process.positions.sigma_min
        if found > finest:
            raise ValueError(
                f"expected process.positions.sigma_min of at most a third of pretraining.loss.narrowest, {finest:.2g}; got {found:g}."
                " Forces are the score where the noise is narrower than bonds"
            )

    @model_validator(mode="after")
    def _some_targets_train(self) -> Self:
        """Without steps there is nothing to train on: the network is that of another study as it is."""
        all_held_out = all(target.held_out for target in self.targets.values())
        if self.training.steps == 0 and self.training.start_from is None:
            raise ValueError(
                "expected training.steps >= 1; got 0. Train, or name a study in training.start_from"
            )
        if self.training.steps == 0 and not all_held_out:
            raise ValueError(
                "expected held_out: true for all targets where training.steps is 0; got some without. Add it, or train"
            )
        if all_held_out and (self.training.steps or self.pretraining):
            raise ValueError(
                "expected a target that is trained on; got held_out: true for all. Remove it from one, or write training.steps: 0"
                " and start_from, and no pretraining"
            )
        return self

    @model_validator(mode="after")
    def _embeddings_go_together(self) -> Self:
        """One network sees all targets: it is told the embeddings of each, or of none."""
        uses = self.model.single_features > 0 or self.model.pair_features > 0
        for name, target in self.targets.items():
            if uses and target.embeddings is None:
                raise ValueError(
                    f"expected embeddings in every target where the network has single_features or pair_features; got none in targets.{name}."
                    " Add them, or write 0 for both"
                )
            if target.embeddings is not None and not uses:
                raise ValueError(
                    f"expected model.single_features or model.pair_features where targets have embeddings; got 0 for both and embeddings in"
                    f" targets.{name}. State how many features the files have, or remove the embeddings of all targets"
                )
        return self

    @model_validator(mode="after")
    def _known_structures_go_together(self) -> Self:
        """Structures are the frames of all targets or of none, and what samples are compared with then."""
        known = self.data.source == "structures"
        wanted, other = ("states", "none") if known else ("no states", "some")
        for name, target in self.targets.items():
            if bool(target.states) != known:
                raise ValueError(
                    f"expected {wanted} in targets.{name} where data.source is {self.data.source}; got {other}."
                    " Change the target, or data.source"
                )
        self._expect_trajectories()
        if isinstance(self.evaluation, KnownStates) != known:
            kind = "kind: known_states" if known else "no kind"
            raise ValueError(
                f"expected {kind} in evaluation where data.source is {self.data.source}; got another one."
                " Change evaluation, or data.source"
            )
        if known and self.training.validation_fraction:
            raise ValueError(
                "expected training.validation_fraction: 0.0 where data.source is structures;"
                f" got {self.training.validation_fraction}. There are too few to keep any"
            )
        return self

    def _expect_trajectories(self) -> None:
        """The user's dynamics is that of all targets or of none, with as many replicas of each."""
        is_source = self.data.source == "trajectory"
        wanted, other = ("a trajectory", "none") if is_source else ("no trajectory", "one")
        for name, target in self.targets.items():
            if bool(target.trajectory) != is_source:
                raise ValueError(
                    f"expected {wanted} in targets.{name} where data.source is {self.data.source}; got {other}."
                    " Change the target, or data.source"
                )
        counts = {name: len(own.trajectory.replicas) for name, own in self.targets.items() if own.trajectory}
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{count} of {name}" for name, count in counts.items())
            raise ValueError(
                f"expected as many replicas of every target; got {shown}. Leave some out, or make another study of these"
            )

    @model_validator(mode="after")
    def _paths_join_known_structures(self) -> Self:
        if self.interpolation is None:
            return self
        if self.data.source != "structures":
            raise ValueError(
                f"expected no interpolation where data.source is {self.data.source}; got some. Paths join known structures:"
                " write interpolation: null, or data: {source: structures}"
            )
        for name, target in self.targets.items():
            for key in ("start_state", "end_state"):
                _expect_state(getattr(self.interpolation, key), target, f"interpolation.{key}", name)
        largest, least = self.interpolation.largest_noise, self.process.positions.sigma_min
        if largest is not None and largest <= least:
            raise ValueError(
                f"expected interpolation.largest_noise above process.positions.sigma_min, {least}; got {largest}. Raise it"
            )
        return self


def _expect_state(state: str, target: ProteinTarget, key: str, name: str) -> None:
    if state not in target.states:
        hint = suggestion(state, target.states) or " Give it that name there, or write interpolation: null"
        raise ValueError(f"expected a state of targets.{name}.states in {key}; got {state!r}.{hint}")
