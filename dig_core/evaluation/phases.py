"""Which named phase drawn crystals are, such as diamond."""

from collections.abc import Sequence

import numpy as np
from pymatgen.core import Structure

from dig_core.evaluation.matching import matcher, matches


def phase_shares(
    crystals: Sequence[Structure], phases: Sequence[Structure], ending: str = ""
) -> dict[str, float]:
    """The share of crystals that match each phase, as `<phase>_fraction`; one that matches several is of the nearest.

    Args:
        phases: examples with the name of their phase in `properties`, several of one where they have one name.
        ending: of the names of the numbers.

    Raises:
        ValueError: a phase without a name.
    """
    names = np.array([_name(own) for own in phases] + [""])
    found = names[matches(crystals, phases, matcher()).reference]
    return {
        f"{name}_fraction{ending}": float((found == name).mean())
        for name in dict.fromkeys(names[:-1].tolist())
    }


def _name(crystal: Structure) -> str:
    name = crystal.properties.get("phase")
    if not isinstance(name, str):
        raise ValueError(
            f"expected a column `phase` with a name in every row of the table evaluation.phases; got {name}. Write it"
        )
    return name
