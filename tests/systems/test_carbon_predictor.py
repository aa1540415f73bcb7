"""Predictors of other people: what they are shown, what they guide, and what is wrong with some of them."""

import numpy as np
import pytest
import torch
from torch.distributions import StudentT

from dig_core.crystals import Crystals, crystals_of
from dig_core.diffusion.guidance import gradient
from dig_core.systems.carbon_model import FRACTIONAL, LATTICE, CarbonModel, diffusion_process, symmetric
from dig_core.systems.carbon_predictor import LONGEST, predictor_likelihood, predictor_of, told, within
from dig_core.systems.carbon_property import PropertyUnits
from tests.systems.test_carbon_model import PROCESS, SCALE, normal
from tests.systems.test_carbon_property import dataset

VOLUME = """
import torch
def predict(fractional, lattices_angstrom, atomic_numbers):
    assert atomic_numbers.dtype == torch.long and fractional.shape[:2] == atomic_numbers.shape
    return torch.linalg.det(lattices_angstrom).abs() / fractional.shape[1] + fractional[:, 0, 0] * 0
"""
TIME = torch.tensor([0.2, 0.5, 0.8]).double()


def file_of(tmp_path, text: str) -> str:
    path = tmp_path / "mine.py"
    path.write_text(text)
    return str(path)


def test_values_stand_in_the_order_of_the_crystals(tmp_path):
    """Crystals of several sizes, mixed; the volume per atom is what pymatgen says."""
    own = crystals_of(dataset())
    mixed = Crystals.of([own.structures()[k] for k in (7, 0, 8, 1)])
    expected = [crystal.volume / len(crystal) for crystal in mixed.structures()]
    found = told(predictor_of(file_of(tmp_path, VOLUME)), mixed)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.ptp(expected) > 1


def test_a_predictor_is_shown_the_denoised_crystal(tmp_path):
    """Of lattices whose Y is normal with variance 1, which is Y / (1 + sigma^2)."""
    process, variance = diffusion_process(PROCESS), 1.0

    def exact(state, time):
        total = variance + process[LATTICE].sigma(time) ** 2
        return {
            FRACTIONAL: torch.zeros_like(state[FRACTIONAL]),
            LATTICE: -state[LATTICE] / total[:, None, None],
        }

    model = CarbonModel(exact, process, SCALE, {}, "cpu")
    state = {FRACTIONAL: normal(3, 4, 3).double() % 1.0, LATTICE: symmetric(normal(3, 3, 3).double())}
    predict, units = predictor_of(file_of(tmp_path, VOLUME)), PropertyUnits(0.0, 1.5, 2.0)
    likelihood = predictor_likelihood(model, predict, np.full(4, 6), 7.0, units)
    noise = process[LATTICE].sigma(TIME) ** 2
    deviation = torch.sqrt(4.0 + 1.5**2 * noise / (1 + noise))
    shrunk = variance / (variance + process[LATTICE].sigma(TIME) ** 2)
    volumes = torch.linalg.det(SCALE.lattices(shrunk[:, None, None] * state[LATTICE], 4)) / 4
    expected = StudentT(3.0, volumes, deviation).log_prob(torch.full_like(volumes, 7.0))
    torch.testing.assert_close(likelihood(state, TIME), expected)
    # ln of the volume is s tr Y and a constant; d ln t / dV = 4 (asked - V) / (3 deviation^2 + (asked - V)^2).
    pull = 4.0 * (7.0 - volumes) / (3.0 * deviation**2 + (7.0 - volumes) ** 2)
    slope = (pull * volumes * SCALE.spread * shrunk)[:, None, None] * torch.eye(3).double()
    torch.testing.assert_close(gradient(likelihood, state, TIME)[LATTICE], slope)


@pytest.mark.parametrize(
    ("value", "found"),
    [("fractional.detach()[:, 0, 0]", "no gradient"), ("fractional[:, 0, 0].log()", "3 others")],
)
def test_values_that_pull_nowhere_are_refused(tmp_path, value, found):
    text = f"def predict(fractional, lattices_angstrom, atomic_numbers):\n    return {value}\n"
    process = diffusion_process(PROCESS)
    model = CarbonModel(lambda state, time: state, process, SCALE, {}, "cpu")
    own = predictor_likelihood(
        model, predictor_of(file_of(tmp_path, text)), np.full(4, 6), 1.0, PropertyUnits(0.0, 1.0, 1.0)
    )
    state = {FRACTIONAL: torch.zeros(3, 4, 3).double(), LATTICE: torch.zeros(3, 3, 3).double()}
    with pytest.raises(ValueError, match=f"for any crystal; got {found}"):
        gradient(own, state, TIME)


def test_a_file_may_hold_dataclasses(tmp_path):
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Own:\n    x: int = 2\n"
    text += "def predict(fractional, lattices_angstrom, atomic_numbers):\n    return fractional[:, 0, 0] * 0 + Own().x\n"
    predict = predictor_of(file_of(tmp_path, text))
    assert predict(torch.zeros(2, 4, 3), torch.eye(3).expand(2, 3, 3), torch.ones(2, 4)).tolist() == [
        2.0,
        2.0,
    ]


def test_lattices_out_of_this_world_are_made_shorter_and_others_left():
    y = torch.stack([torch.diag(torch.tensor([50.0, -3.0, 0.2])), torch.eye(3)])
    found = within(y)
    assert found[0].norm().item() == pytest.approx(LONGEST)
    torch.testing.assert_close(found[0] / found[0].norm(), y[0] / y[0].norm())
    torch.testing.assert_close(found[1], y[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other = 1", "expected a function predict in .*mine.py; got other. Name it so"),
        ("predict = 2", "expected a function predict in .*mine.py; got predict. Name it so"),
        (
            "def predict(x, lattices, numbers): return x",
            r"of 2 numbers for as many crystals; got shape \(2, 4, 3\)",
        ),
        ("def predict(x, lattices, numbers): return 1.0", "of 2 numbers for as many crystals; got float"),
        ("def predict(x): return x", r"expected predict in .*mine.py to take .* got TypeError"),
        (
            "def predict(x, y, z) return x",
            r"expected Python that can be loaded in .*mine.py; got SyntaxError",
        ),
        ("import no_such_package", r"got ModuleNotFoundError: No module named 'no_such_package'"),
    ],
)
def test_what_is_no_predictor_is_told_in_one_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as told_:
        predictor_of(file_of(tmp_path, text))(
            torch.zeros(2, 4, 3), torch.eye(3).expand(2, 3, 3), torch.ones(2, 4).long()
        )
    assert "\n" not in str(told_.value)
