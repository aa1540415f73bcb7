"""Slabs at rest."""

import numpy as np
import pytest
from ase.build import fcc111
from ase.calculators.emt import EMT

from dig_core.energies.slab_relaxation import slab_at_rest


def copper(layers: int = 4):
    return fcc111("Cu", (1, 1, layers), a=3.6, vacuum=10.0, periodic=True)


def test_forces_vanish_the_lowest_layers_stay_and_the_surface_moves_inwards():
    found = slab_at_rest(copper(), EMT(), 2, 0.01, 200)
    assert found.positions[:, 2].min() == 0.0 and found.get_tags().tolist() == [4, 3, 2, 1]
    spacings = np.diff(np.sort(found.positions[:, 2]))
    assert spacings[0] == pytest.approx(3.6 / np.sqrt(3), abs=1e-6)
    assert spacings[-1] < 3.6 / np.sqrt(3) - 0.01
    found.calc = EMT()
    assert np.abs(found.get_forces()[found.get_tags() <= 2]).max() < 0.01


def test_too_few_steps_are_told():
    with pytest.raises(ValueError, match="expected the slab Cu4 at rest in 1 steps; got forces of"):
        slab_at_rest(copper(), EMT(), 2, 1e-4, 1)
