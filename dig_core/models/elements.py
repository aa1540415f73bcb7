"""What elements are like: numbers in place of names, so that a network has an idea of combinations and elements that it has not seen."""

import re
import warnings

import torch
from jaxtyping import Float
from pymatgen.core import Element
from torch import Tensor

LARGEST = 94  # atomic number: of heavier ones too little is known


def element_features() -> Float[Tensor, "elements features"]:
    """By atomic number: period, group (its cosine, sine and size), electronegativity (Pauling), atomic radius, d and f electrons, and whether
    it is a metal; each about 0 with variance 1. Row 0 is no element.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noble gases have no electronegativity: 0 after centring
        rows = [_features(Element.from_Z(number)) for number in range(1, LARGEST + 1)]
    values = torch.tensor(rows, dtype=torch.float64)
    mean, spread = values.nanmean(0), (values - values.nanmean(0)).square().nanmean(0).sqrt()
    known = torch.nan_to_num((values - mean) / spread)
    return torch.cat([torch.zeros_like(known[:1]), known]).to(torch.get_default_dtype())


def _features(element: Element) -> list[float]:
    angle = torch.tensor(2 * torch.pi * element.group / 18)
    # Outside the core of a noble gas: 4d10 of palladium counts, 3d10 below it does not.
    outer = element.electronic_structure.rpartition("]")[2]
    shells = {kind: sum(map(int, re.findall(rf"\d{kind}(\d+)", outer))) for kind in "df"}
    radius = float(element.atomic_radius) if element.atomic_radius else float("nan")
    numbers = [
        element.row, element.group, angle.cos().item(), angle.sin().item(), element.X, radius,
        shells["d"], shells["f"], float(element.is_metal),
    ]  # fmt: skip
    return list(map(float, numbers))
