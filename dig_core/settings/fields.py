"""What all settings are made of: the strict model they derive from, names, and small types with their bounds.

Values are plain (numbers, strings, tuples, mappings), so that Snakemake can compare and store them; the unit stands in the key.
Mistakes become one line in `validation`, files are read in `config`; all other modules here state only what is allowed.
"""

import difflib
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Degrees = Annotated[float, Field(ge=-180.0, le=180.0)]
Seed = Annotated[int, Field(ge=0)]
Platform = Literal["Reference", "CPU", "CUDA", "OpenCL", "HIP"]

# Folders and files under results/ and names of rules: a study or target of that name would overwrite them.
_RESERVED = """
all all_atoms average_held_out build build_protein build_states build_surface bundle_surface cache check compare_samplers compare_sites condense_frames condense_reference config crystals dataset example download downloads estimate_density evaluate
evaluate_adsorption evaluate_crystals evaluate_density evaluate_protein evaluate_states figures floor gather_labels gather_samples gather_search held_out help interpolate interpolate_states known_sites label_crystal label_known label_relaxed labels logs map_density map_energies metrics model none null path pidp prepare prepare_adsorption prepare_crystals prepare_floor prepare_reference pretrain pretrain_density property read_trajectory readme
reference relax relax_crystals relaxed report results sample sample_adsorbates sample_crystals sample_shard samples search search_crystals simulate simulate_competitor simulate_pretraining simulation stabilisers tables test
tabulate_labels tabulate_relaxed topology train train_property
"""
RESERVED_NAMES = frozenset(_RESERVED.split())


def suggestion(word: object, known: Iterable[object]) -> str:
    """Return ' Did you mean x?' for the nearest known word, or nothing."""
    nearest = difflib.get_close_matches(str(word), [str(item) for item in known], n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def _valid_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(
            f"expected a name of letters, digits, _ and - that starts with a letter; got {name!r}. Rename it"
        )
    if name.lower() in RESERVED_NAMES or name.lower().startswith(("figure_", "table_")):
        raise ValueError(f"expected a name that the workflow does not use itself; got {name!r}. Rename it")
    return name


Name = Annotated[str, AfterValidator(_valid_name)]


class Settings(BaseModel):
    """A frozen group of settings that refuses unknown keys and converts nothing silently."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        for key in values if isinstance(values, dict) else ():
            if key not in cls.model_fields:
                known = list(cls.model_fields)
                hint = suggestion(key, known) or f" Remove it, or write one of: {', '.join(known)}"
                raise ValueError(f"expected a known key; got {str(key)!r}.{hint}")
        return values


def expect_multiple(name: str, value: float, unit_name: str, unit: float) -> None:
    """Raise ValueError unless one setting is a whole multiple of another one."""
    ratio = value / unit
    if round(ratio) < 1 or not math.isclose(ratio, round(ratio), rel_tol=1e-6):
        raise ValueError(f"expected {name} to be a multiple of {unit_name}; got {value}. Change one of them")


class State(Settings):
    """A region of the torsion plane; an interval whose end is below its start wraps through 180 degrees."""

    phi_deg: tuple[Degrees, Degrees] = Field(description="Start and end in phi, degrees")
    psi_deg: tuple[Degrees, Degrees] = Field(description="Start and end in psi, degrees")

    @model_validator(mode="after")
    def _has_width(self) -> Self:
        for key in ("phi_deg", "psi_deg"):
            low, high = getattr(self, key)
            if low == high:
                raise ValueError(
                    f"expected two different angles in {key}; got {low} twice."
                    " Write [-180.0, 180.0] for the whole period"
                )
        return self
