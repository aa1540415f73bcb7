"""A study of molecules: its sections together, and what one section demands of another."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.data import Simulate, Target, Trajectory
from dig_core.settings.evaluation import Evaluation
from dig_core.settings.fields import Name, Settings, suggestion
from dig_core.settings.network import Model, Training, VarianceExploding, VariancePreserving
from dig_core.settings.pretraining import Pretraining, expect_whole_steps
from dig_core.settings.sampling import Density, Interpolation, Sampler
from dig_core.settings.tempering import expect_higher


class Study(Settings):
    """Everything about one study: one file config/systems/<name>.yaml."""

    kind: Literal["molecule"] = Field(description="Kind of system")
    temperature_K: PositiveFloat = Field(description="Temperature of data, model and reference in K")
    targets: dict[Name, Target] = Field(min_length=1, description="Molecules by name")
    targets_per_job: PositiveInt = Field(
        1,
        description="Targets that one job builds, simulates, draws and evaluates; the network is trained on all of them",
    )
    data: Annotated[Simulate | Trajectory, Field(discriminator="source")] = Field(
        description="Where the structures come from"
    )
    model: Model = Field(description="Score network")
    process: Annotated[VariancePreserving | VarianceExploding, Field(discriminator="kind")] = Field(
        description="Diffusion process"
    )
    pretraining: Pretraining | None = Field(
        None, description="Training from energies before that on frames; null leaves it out"
    )
    training: Training = Field(description="Training of the score network")
    sampler: Sampler = Field(description="Drawing structures")
    evaluation: Evaluation = Field(description="Comparison with the reference")
    density: Density | None = Field(
        None,
        description="Log densities of drawn structures; null leaves them out. Energies need data.force_field",
    )
    interpolation: Interpolation | None = Field(
        None, description="Paths between two states through the latent space; null leaves them out"
    )

    @model_validator(mode="after")
    def _trajectory_has_one_target(self) -> Self:
        if self.data.source == "trajectory" and len(self.targets) != 1:
            raise ValueError(
                f"expected one target with data.source: trajectory; got {len(self.targets)}. Keep one"
                " target, or make one study per molecule"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_divide(self) -> Self:
        if self.targets_per_job > 1 and self.sampler.shards > 1:
            raise ValueError(
                f"expected several targets per job or several jobs per target; got targets_per_job {self.targets_per_job} and"
                f" sampler.shards {self.sampler.shards}. Write 1 for one of them"
            )
        return self

    @model_validator(mode="after")
    def _pretraining_has_forces(self) -> Self:
        if self.pretraining is None and self.training.start_from is None and self.training.steps == 0:
            raise ValueError(
                "expected training.steps >= 1 without pretraining; got 0. Train, or add pretraining"
            )
        if self.pretraining is None:
            return self
        if self.data.source != "simulate":
            raise ValueError(
                "expected data.source: simulate where there is pretraining, whose dynamics takes its settings;"
                f" got {self.data.source}. Write pretraining: null"
            )
        expect_whole_steps(self.pretraining, self.data.timestep_fs)
        if self.pretraining.structures.kind == "biased_dynamics" and self.data.bias is None:
            raise ValueError(
                "expected data.bias where pretraining has biased_dynamics; got null. State the bias, or use"
                " parallel_tempering"
            )
        if self.pretraining.structures.kind == "parallel_tempering":
            expect_higher(self.pretraining.structures, self.temperature_K, "pretraining.structures")
        return self

    @model_validator(mode="after")
    def _interpolation_knows_its_states(self) -> Self:
        known = self.evaluation.states
        for key in ("start_state", "end_state") if self.interpolation is not None else ():
            name = getattr(self.interpolation, key)
            if name not in known:
                hint = suggestion(name, known) or " Add it there, or write interpolation: null"
                raise ValueError(
                    f"expected a state of evaluation.states in interpolation.{key}; got {name!r}.{hint}"
                )
        return self

    @model_validator(mode="after")
    def _forces_have_a_force_field(self) -> Self:
        users = {
            "sampler.relaxation": self.sampler.relaxation,
            "training.control_variate": self.training.control_variate,
        }
        for key in users if not self.data.force_field else ():
            if users[key] is not None:
                raise ValueError(
                    f"expected data.force_field where there is {key}; got none."
                    f" Name the force field, or write {key.split('.')[1]}: null"
                )
        return self
