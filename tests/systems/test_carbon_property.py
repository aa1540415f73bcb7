"""The property of noised crystals: symmetries, gradients, which crystals train, and what guidance adds to a score."""

import numpy as np
import pytest
import torch

from dig_core.crystals import Crystals, crystals_of
from dig_core.diffusion.guidance import gradient
from dig_core.diffusion.losses import Batch
from dig_core.systems.carbon_model import FRACTIONAL, LATTICE, CarbonModel, diffusion_process, symmetric
from dig_core.systems.carbon_property import (
    PropertyModel,
    PropertyUnits,
    denoising_loss,
    network,
    network_likelihood,
    predicted,
    towards,
)
from tests.systems.test_carbon_model import MODEL, PROCESS, SCALE, crystals, normal

UNITS = PropertyUnits(2.0, 1.5, 0.25)
SETTINGS = {
    "model": MODEL | {"modes": 3, "centre": 2.0, "spread": 1.5, "tolerance": 0.25},
    "process": PROCESS,
    "training": {"validation_fraction": 0.2},
}
NUMBERS = torch.full((1, 4), 6)


@pytest.fixture
def known():
    """A network with random weights, in float64."""
    torch.manual_seed(0)
    own = network(SETTINGS["model"]).double()
    for parameter in own.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return PropertyModel(own, diffusion_process(PROCESS), SCALE, UNITS)


@pytest.fixture
def state():
    return {FRACTIONAL: normal(3, 4, 3).double() % 1.0, LATTICE: symmetric(normal(3, 3, 3).double())}


TIME = torch.tensor([0.2, 0.5, 0.8]).double()


def log_likelihood(known, value=1.0):
    return lambda state, time: known.density(state, time, NUMBERS).log_prob(torch.full_like(time, value))


def test_a_density_integrates_to_one_and_is_never_narrower_than_the_tolerance(known, state):
    values = torch.linspace(-60.0, 60.0, 20_001).double()[:, None].expand(-1, 3)
    density = known.density(state, TIME, NUMBERS)
    torch.testing.assert_close(
        torch.trapezoid(density.log_prob(values).exp(), values, dim=0), torch.ones(3).double()
    )
    narrow = UNITS.density(torch.tensor([[[0.0]], [[0.0]], [[-20.0]]]))
    assert narrow.stddev.item() == pytest.approx(0.25) and narrow.mean.item() == pytest.approx(2.0)


def test_the_property_does_not_depend_on_how_a_crystal_is_written(known, state):
    """Shift of all atoms, whole cells of one, their order, and permutation and signs of the lattice vectors."""
    values = log_likelihood(known)(state, TIME)
    shifted = state[FRACTIONAL] + torch.tensor([0.3, -0.2, 0.7]).double()
    shifted[:, 1] += torch.tensor([1.0, 0.0, -2.0]).double()
    p = torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]).double()
    written = {FRACTIONAL: shifted[:, [2, 0, 3, 1]] @ p.mT, LATTICE: p @ state[LATTICE] @ p.mT}
    torch.testing.assert_close(log_likelihood(known)(written, TIME), values, rtol=1e-10, atol=1e-10)
    assert values.std() > 1e-3


@pytest.mark.parametrize("field", [FRACTIONAL, LATTICE])
def test_gradients_of_both_fields_are_those_of_finite_differences(known, state, field):
    function, direction = log_likelihood(known), normal(*state[field].shape, seed=4).double()
    if field == LATTICE:
        direction = symmetric(direction)
    slope = (gradient(function, state, TIME)[field] * direction).flatten(1).sum(1)
    ahead, behind = (
        function(state | {field: state[field] + step * direction}, TIME) for step in (1e-5, -1e-5)
    )
    torch.testing.assert_close(slope, (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-7)
    assert slope.abs().max() > 1e-3


def test_what_is_asked_for_adds_its_gradient_up_to_a_noise(known, state):
    """Fractional noise of 0.005 (0.3/0.005)^t: 0.06 lies between t = 0.5 and t = 0.8."""
    process = diffusion_process(PROCESS)

    def plain(state, time):
        return {field: torch.ones_like(x) for field, x in state.items()}

    model = CarbonModel(plain, process, SCALE, {}, "cpu")
    likelihood = network_likelihood(known, np.full(4, 6), 1.0, "cpu")
    asked = towards(model, likelihood, {"scale": 2.0, "largest_noise": 0.06})
    found, push = asked.score(state, TIME), gradient(log_likelihood(known), state, TIME)
    for field in (FRACTIONAL, LATTICE):
        added = 2.0 * process[field].projection(push[field])
        torch.testing.assert_close(found[field][:2], 1.0 + added[:2])
        torch.testing.assert_close(found[field][2], torch.ones_like(found[field][2]))


def dataset() -> dict[str, np.ndarray]:
    small, large = crystals(6, 4), crystals(5, 7, seed=2)
    both = {name: np.concatenate([small[name], large[name]]) for name in small}
    both["property"] = np.array([0.0, np.nan, 4.0, 0.0, 4.0, 1.0, np.nan, 2.0, 3.0, np.nan, 1.0])
    return both


def test_crystals_without_a_value_do_not_train():
    loss, probabilities, _ = denoising_loss(dataset(), {}, SETTINGS, "cpu")
    assert [own.tolist() for own in loss.values] == [[0.0, 4.0, 0.0, 4.0, 1.0], [2.0, 3.0, 1.0]]
    assert len(probabilities["train"]) == 8
    chosen = crystals_of(dataset()).chosen(np.isfinite(dataset()["property"]))
    np.testing.assert_allclose(loss.groups[1].fractional.flatten(0, 1), chosen.fractional[20:], atol=1e-6)
    torch.manual_seed(0)
    for first in (0, 6):
        values = loss(
            network(SETTINGS["model"]), Batch(torch.tensor([first] * 4), torch.Generator().manual_seed(1))
        )
        assert torch.isfinite(values).all() and values.shape == (4,)


def test_one_value_is_too_few_to_train_on():
    alone = dataset()
    alone["property"][1:] = np.nan
    with pytest.raises(ValueError, match=r"two crystals or more that train and have a number .* got 1\."):
        denoising_loss(alone, {}, SETTINGS, "cpu")


def test_predictions_stand_in_the_order_of_the_crystals(known):
    """Crystals of several sizes, mixed."""
    known.model.float()
    own = crystals_of(dataset())
    mixed = Crystals.of([own.structures()[k] for k in (7, 0, 8, 1)])
    found = predicted(known, mixed)
    for place, crystal in enumerate(mixed.structures()):
        alone = predicted(known, Crystals.of([crystal]))
        assert found["predicted"][place] == pytest.approx(alone["predicted"][0], rel=1e-3)
        assert found["deviation"][place] == pytest.approx(alone["deviation"][0], rel=1e-3)
    assert found["predicted"].std() > 2e-2
