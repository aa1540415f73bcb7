"""Which site of a surface is the most probable one: by the model, by the potential that made its data, and by known energies."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

SAME_EV = 0.1  # hollows that known energies do not tell apart by so much count as one
HOLLOWS = ("fcc", "hcp")
KEYS = ["metal", "adsorbate", "site"]
SITE = {"model": "most_probable_site", "potential": "lowest_site", "known": "lowest_known_site"}


def known_energies(path: str) -> pd.DataFrame:
    """A table of known adsorption energies.

    Raises:
        ValueError: columns are missing, an energy is no number, or a surface has a site twice or not both hollows.
    """
    table = pd.read_csv(path)
    if missing := {*KEYS, "energy_eV"} - set(table):
        raise ValueError(
            f"expected the columns metal, adsorbate, site and energy_eV in {path}; got none of {', '.join(sorted(missing))}. Add them"
        )
    if not pd.api.types.is_float_dtype(table["energy_eV"]) or table["energy_eV"].isna().any():
        raise ValueError(
            f"expected a number in every row of energy_eV in {path}; got others. Correct the table"
        )
    for surface, own in table.groupby(KEYS[:2])["site"]:
        if own.duplicated().any() or not set(HOLLOWS) <= set(own):
            raise ValueError(
                f"expected fcc, hcp and other sites of {' '.join(surface)}, each once, in {path}; got {', '.join(own)}. Correct the table"
            )
    return table


def compared(
    sites: Mapping[str, Mapping[str, np.ndarray]],
    targets: Mapping[str, Mapping[str, Any]],
    known: pd.DataFrame,
) -> pd.DataFrame:
    """A row for every fcc(111) surface whose metal and adsorbate are among the known ones.

    Args:
        sites: of each target `types`, `energies_eV` and `sampled` [sites], the share of samples in the basin of each.
        targets: settings of these.
        known: `metal`, `adsorbate`, `site` (top, bridge, fcc, hcp) and `energy_eV`.

    Returns:
        Of each `most_probable_site`, `lowest_site` and `lowest_known_site`, how much lower fcc is than hcp (`fcc_below_hcp_eV`, `known_fcc_below_hcp_eV`), and
        whether the first is the second (`model_as_potential`), the second the third (`potential_as_known`) and the first the third (`model_as_known`): fcc and
        hcp count as one where known energies differ by less than SAME_EV, but for `model_as_potential_strictly`.

    Raises:
        ValueError: no surface is among the known ones.
    """
    rows = []
    for name, target in targets.items():
        metal, adsorbate = _metal(target["surface"] or {}), target["adsorbate"]
        own = known[(known["metal"] == metal) & (known["adsorbate"] == adsorbate)]
        if len(own):
            surface = {"target": name, "metal": metal, "adsorbate": adsorbate, "held_out": target["held_out"]}
            rows.append(surface | _row(sites[name], own.set_index("site")["energy_eV"]))
    if not rows:
        raise ValueError(
            f"expected a surface and an adsorbate among the known ones, {', '.join(sorted(set(known['metal'])))}; got none. Leave out evaluation.known"
        )
    return pd.DataFrame(rows)


def counted(table: pd.DataFrame) -> dict[str, int]:
    """How many surfaces were compared, and how many of them agree in what."""
    names = [name for name in table if "_as_" in name]
    held_out = table[table["held_out"]]
    counts = {name: int(table[name].sum()) for name in names}
    counts |= {f"{name}_held_out": int(held_out[name].sum()) for name in names}
    return {"compared": len(table), "compared_held_out": len(held_out), **counts}


def _metal(surface: Mapping[str, Any]) -> str | None:
    """Of which a surface is the fcc(111) one."""
    is_packed = surface.get("structure") == "fcc" and set(map(abs, surface["miller"])) == {1}
    return next(iter(surface["composition"])) if is_packed else None


def _row(sites: Mapping[str, np.ndarray], known: pd.Series) -> dict[str, str | float | bool]:
    kinds, energies = np.unique(sites["types"]), sites["energies_eV"]
    lowest = {kind: float(energies[sites["types"] == kind].min()) for kind in kinds}
    share = {kind: float(sites["sampled"][sites["types"] == kind].mean()) for kind in kinds}
    found = {
        "model": max(share, key=share.__getitem__) if any(share.values()) else "none",
        "potential": min(lowest, key=lowest.__getitem__),
        "known": str(known.idxmin()),
    }
    apart = float(known["hcp"] - known["fcc"])
    merged = abs(apart) < SAME_EV

    def agree(first: str, second: str) -> bool:
        """Whether both name the same site, or two hollows that count as one."""
        return found[first] == found[second] or (merged and {found[first], found[second]} <= set(HOLLOWS))

    return {
        **{SITE[who]: site for who, site in found.items()},
        "fcc_below_hcp_eV": lowest.get("hcp", np.nan) - lowest.get("fcc", np.nan),
        "known_fcc_below_hcp_eV": apart,
        "model_as_potential": agree("model", "potential"),
        "model_as_potential_strictly": found["model"] == found["potential"],
        "potential_as_known": agree("potential", "known"),
        "model_as_known": agree("model", "known"),
    }
