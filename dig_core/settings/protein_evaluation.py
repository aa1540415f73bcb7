"""Settings of what samples of a protein are compared with: its held-out replica, or its known structures."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, PositiveFloat, Tag, model_validator

from dig_core.settings.evaluation import Evaluation
from dig_core.settings.fields import Seed, Settings


class Folding(Settings):
    """Two states of proteins whose start structure, from a file, is the folded one, by the distance from it."""

    within_angstrom: PositiveFloat = Field(
        description="Folded: root-mean-square distance of C-alpha atoms from the start structure up to this"
    )
    unfolded_beyond_angstrom: PositiveFloat = Field(
        description="Unfolded: farther than this; in between a structure is neither, and no event is counted"
    )

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.within_angstrom >= self.unfolded_beyond_angstrom:
            raise ValueError(
                f"expected within_angstrom < unfolded_beyond_angstrom; got {self.within_angstrom} and {self.unfolded_beyond_angstrom}."
                " Crossings of one threshold alone would count each tremor as an event"
            )
        return self


class ProteinLandscapes(Evaluation):
    """Comparison of samples with the held-out replica of their protein."""

    folded: Folding | None = Field(
        None, description="Folded and unfolded state, for targets with a PDB file; null leaves them out"
    )


class CrystalNoise(Settings):
    """What samples of known structures are compared with: the first structure of the protein with noise."""

    positions_angstrom: PositiveFloat = Field(
        description="Standard deviation of each coordinate of a C-alpha atom"
    )
    rotations_deg: PositiveFloat = Field(
        description="Standard deviation of the turn of a residue about each axis"
    )
    seed: Seed = Field(description="Seed of the noise")


class KnownStates(Settings):
    """Comparison of samples with the known structures of their protein."""

    kind: Literal["known_states"] = Field(description="What samples are compared with")
    within_angstrom: PositiveFloat = Field(
        description="Root-mean-square distance of C-alpha atoms within which a structure counts as reached"
    )
    crystal_noise: CrystalNoise = Field(description="Baseline: the first structure with noise")
    sampler_comparison: None = Field(None, description="Always null: none")


def _compared_with(value: Any) -> str:
    """The tag of an evaluation: only that with known structures states a kind."""
    states_kind = "kind" in value if isinstance(value, dict) else isinstance(value, KnownStates)
    return "known_states" if states_kind else "landscapes"


ProteinEvaluation = Annotated[
    Annotated[ProteinLandscapes, Tag("landscapes")] | Annotated[KnownStates, Tag("known_states")],
    Discriminator(_compared_with),
]
