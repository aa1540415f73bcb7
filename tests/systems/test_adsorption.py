"""Adsorbates as states, their loss, and their numbers: against the map from which they are drawn."""

import numpy as np
import pytest
import torch

from dig_core.data.surfaces import slab
from dig_core.diffusion.losses import Batch
from dig_core.systems import adsorption_denoising
from dig_core.systems.adsorption import build, descriptor_hash, prepared, with_adsorbates
from dig_core.systems.adsorption_denoising import denoising_loss
from dig_core.systems.adsorption_evaluation import evaluate
from dig_core.systems.adsorption_model import Heights, Surface, network, slab_of, trained_model

MODEL = {
    "layers": 1, "slab_layers": 1, "width": 16, "functions": 8, "cutoff_angstrom": 5.0,
    "height_mean_angstrom": 1.0, "height_spread_angstrom": 0.3,
}  # fmt: skip
PROCESS = {"plane": {"sigma_min": 0.03, "sigma_max": 2.5}, "height": {"sigma_min": 0.05, "sigma_max": 4.0}}
SETTINGS = {"model": MODEL, "process": PROCESS, "training": {"validation_fraction": 0.1}}
EVALUATION = {"window_eV": 0.5, "within_angstrom": 0.5, "per_site": [1, 10], "seed": 1}


def arrays() -> dict[str, np.ndarray]:
    own = slab({"composition": {"Cu": 1}, "structure": "fcc", "miller": [1, 1, 1], "lattice_angstrom": 3.6})
    return {
        "slab_angstrom": own.positions, "slab_numbers": own.numbers, "layers": own.get_tags(),
        "lattice_angstrom": np.array(own.cell), "adsorbed_numbers": np.array([8]),
    }  # fmt: skip


def energies(points: int = 24) -> dict[str, np.ndarray]:
    """Minima at the hollows of 2 x 2 cells, the fcc ones lower; tops are high."""
    axis = 2 * np.arange(points) / points
    a, b = np.meshgrid(axis, axis, indexing="ij")
    waves = sum(np.cos(2 * np.pi * phase) for phase in (a, b, a + b))
    sines = sum(np.sin(2 * np.pi * phase) for phase in (a, b, -a - b))
    values = 0.3 * waves + 0.03 * sines
    return {
        "cell_angstrom": arrays()["lattice_angstrom"][:2, :2], "energies_eV": values - values.min(),
        "rest_angstrom": 1.0 + 0.1 * waves[..., None], "stiffness_eV_per_angstrom2": np.full((points, points, 1, 1), 10.0),
    }  # fmt: skip


def test_positions_become_states_and_come_back_in_the_cell():
    surface, heights = Surface.from_arrays(arrays()), Heights(1.0, 0.3)
    positions = torch.rand(50, 2, 3, dtype=torch.float64) * 20 - 5
    again = surface.positions_of(surface.state(positions, heights), heights)
    apart = (again - positions)[..., :2] @ torch.linalg.inv(surface.lattice[:2, :2]).double()
    torch.testing.assert_close(apart, apart.round(), atol=1e-5, rtol=0)
    torch.testing.assert_close(again[..., 2], positions[..., 2].float(), atol=1e-5, rtol=0)


def test_the_loss_of_a_network_that_returns_nothing_is_one():
    """For data of the mean and the spread that the settings say."""
    heights = 1.0 + 0.3 * np.random.default_rng(0).standard_normal(2_000)
    places = np.random.default_rng(1).random((2_000, 2)) * 5
    top = arrays()["slab_angstrom"][:, 2].max()
    positions = np.column_stack([places, heights + top])[:, None]
    dataset = {"one.positions_angstrom": positions, "one.weights": np.ones(2_000)}
    loss, probabilities, _ = denoising_loss(dataset, {"one": arrays()}, SETTINGS, "cpu")
    assert probabilities["train"].sum().item() == pytest.approx(1.0)
    indices = torch.arange(2_000)
    values = loss(network(MODEL), Batch(indices, torch.Generator().manual_seed(0)))
    assert values.mean().item() == pytest.approx(1.0, abs=0.05)


def test_a_batch_holds_different_structures_of_one_target_that_all_train_or_all_validate(monkeypatch):
    """Indices of all targets name few structures of each."""
    numbers = np.arange(10.0)[:, None, None] * np.ones((1, 1, 3))  # the height says which structure it is
    dataset = {f"{name}.positions_angstrom": numbers + above for name, above in (("one", 0), ("two", 100))}
    dataset |= {"one.weights": np.ones(10), "two.weights": np.ones(10)}
    settings = SETTINGS | {"training": {"validation_fraction": 0.2}}
    loss, _, _ = denoising_loss(dataset, {"one": arrays(), "two": arrays()}, settings, "cpu")
    seen = {}

    def shown(score, process, clean, time, noise):
        seen.update(clean)
        return torch.zeros(len(time))

    monkeypatch.setattr(adsorption_denoising, "unit_variance_matching", shown)
    for first, expected in ((3, range(8)), (9, range(8, 10)), (17, range(100, 108)), (18, range(108, 110))):
        others = torch.arange(199) % 20
        loss(
            network(MODEL),
            Batch(torch.cat([torch.tensor([first]), others]), torch.Generator().manual_seed(0)),
        )
        heights = loss.targets[0].surface.positions_of(seen, loss.heights)[:, 0, 2]
        assert set(heights.round().int().tolist()) == set(expected)


def test_noise_that_ends_short_of_uniform_is_refused():
    process = PROCESS | {"plane": {"sigma_min": 0.03, "sigma_max": 0.8}}
    dataset = {"one.positions_angstrom": np.ones((4, 1, 3)), "one.weights": np.ones(4)}
    with pytest.raises(
        ValueError, match=r"in the cell of one; got .* nats from that. Raise process.plane.sigma_max"
    ):
        denoising_loss(dataset, {"one": arrays()}, SETTINGS | {"process": process}, "cpu")


def test_draws_from_the_map_are_as_good_as_its_noise_floor_and_better_than_anywhere():
    settings = {"temperature_K": 1500.0, "structures": 2_000, "seed": 3}
    dataset = prepared({"one": arrays()}, {"one": energies()}, settings)
    drawn = {"positions_angstrom": dataset["one.positions_angstrom"]}
    metrics, shown = evaluate(drawn, arrays(), energies(), EVALUATION | {"kT_eV": 1500.0 * 8.617333e-5})
    assert metrics["sites"] == 8
    assert sorted(shown["sites.types"].tolist()) == ["fcc"] * 4 + ["hcp"] * 4
    for name, least in (("site_coverage_10_per_site", 0.97), ("site_precision", 0.6)):
        assert metrics[name] == pytest.approx(metrics[f"{name}_noise_floor"], abs=0.05)
        assert metrics[name] > least
        assert metrics[name] > metrics[f"{name}_baseline_random_placement"]
    assert 1.0 >= metrics["site_precision_relaxed"] > max(0.97, metrics["site_precision"])
    # Of 4 tops, 12 bridges and 8 hollows these are sites.
    assert metrics["site_precision_baseline_heuristic_sites"] == pytest.approx(8 / 24, abs=0.05)
    # Eight shares of 2,000 draws.
    assert (
        metrics["site_population_distance"]
        < 0.05
        < metrics["site_population_distance_baseline_random_placement"]
    )
    assert metrics["most_probable_site_energy_eV"] == pytest.approx(0.0, abs=0.01)
    assert shown["sites.populations"][:4].sum() > 0.5
    high = {"positions_angstrom": drawn["positions_angstrom"] + [0.0, 0.0, 5.0]}
    lost, _ = evaluate(high, arrays(), energies(), EVALUATION | {"kT_eV": 0.1})
    assert lost["desorbed_fraction"] == 1.0 and lost["site_precision"] == 0.0
    assert lost["site_precision_relaxed"] == lost["site_coverage_10_per_site_relaxed"] == 0.0


def test_a_density_that_follows_the_energies_is_told_from_one_that_does_not():
    drawn = {"positions_angstrom": np.random.default_rng(1).random((100, 1, 3))}
    values, settings = energies()["energies_eV"], EVALUATION | {"kT_eV": 0.1}
    for logs, expected in ((-(values**3), 1.0), (values, -1.0)):
        density = {
            "log_density_nats": logs,
            "change_nats": np.array(0.02),
            "seconds_density": np.array(3.0),
            "at_edge": values > 0.5,
        }
        metrics, shown = evaluate(drawn, arrays(), energies(), settings, density)
        assert metrics["spearman_log_p_energy"] == pytest.approx(expected)
        assert metrics["spearman_log_p_energy_near_lowest"] == pytest.approx(expected)
        assert metrics["likely_height_at_edge_fraction"] == pytest.approx((values > 0.5).mean())
        assert metrics["log_density_change_nats"] == pytest.approx(0.02)
        np.testing.assert_allclose(shown["density.minus_kT_log_p_eV"], -0.1 * (logs - logs.max()))


def test_a_checkpoint_draws_on_surfaces_that_it_was_not_trained_on():
    torch.manual_seed(0)
    checkpoint = {"settings": SETTINGS, "weights": network(MODEL).state_dict()}
    model = trained_model(checkpoint, arrays())
    start = {
        field: own.prior(torch.zeros(3, *model.shape[field]), torch.Generator().manual_seed(1))
        for field, own in model.process.items()
    }
    slope = model.score(start, torch.full((3,), 0.5))
    assert slope["plane"].shape == (3, 1, 2) and slope["height"].shape == (3, 1, 1)
    assert model.positions_angstrom(start).shape == (3, 1, 3)


def test_surfaces_are_told_apart_by_their_atoms_and_written_with_what_is_on_them():
    other = arrays() | {"adsorbed_numbers": np.array([7])}
    moved = arrays() | {"slab_angstrom": arrays()["slab_angstrom"] + [0.0, 0.0, 0.1]}
    assert len({descriptor_hash(own) for own in (arrays(), other, moved, arrays())}) == 3
    [both] = with_adsorbates(arrays(), np.array([[[1.0, 1.0, 9.0]]]))
    assert len(both) == len(slab_of(arrays())) + 1 and both.get_tags()[-1] == 0
    np.testing.assert_allclose(both.positions[-1], [1.0, 1.0, 9.0])


def test_molecules_have_numbers_of_their_own():
    """Drawn from a map they are whole and stand on the right end; turned over they do not."""
    flat, count = energies(), 1_000
    upright = np.concatenate(
        [flat["rest_angstrom"], np.zeros((24, 24, 2)), np.full((24, 24, 1), 1.15)], axis=2
    )
    springs = np.zeros((24, 24, 4, 4)) + np.diag([10.0, 1.0, 1.0, 190.0])
    own = flat | {"rest_angstrom": upright, "stiffness_eV_per_angstrom2": springs}
    target = arrays() | {"adsorbed_numbers": np.array([6, 8])}
    settings = {"temperature_K": 1000.0, "structures": count, "seed": 3}
    drawn = prepared({"one": target}, {"one": own}, settings)["one.positions_angstrom"]
    metrics, _ = evaluate({"positions_angstrom": drawn}, target, own, EVALUATION | {"kT_eV": 0.086})
    assert drawn.shape == (count, 2, 3) and metrics["right_end_down_fraction"] > 0.99
    assert metrics["bond_within_0.1_angstrom_fraction"] > 0.99 and metrics["dissociated_fraction"] == 0.0
    over, _ = evaluate({"positions_angstrom": drawn[:, ::-1]}, target, own, EVALUATION | {"kT_eV": 0.086})
    assert over["right_end_down_fraction"] < 0.01 and over["site_precision_relaxed"] < 0.01


def test_a_slab_without_a_lattice_constant_has_that_of_the_calculator():
    """The same slab as from the constant that EMT is known to have for copper."""
    surface = {
        "composition": {"Cu": 1},
        "structure": "fcc",
        "miller": [1, 1, 1],
        "layers": 3,
        "vacuum_angstrom": 10.0,
    }
    data = {"calculator": "emt", "fixed_layers": 1, "force_eV_per_angstrom": 0.05, "steps": 100}
    found, known = (
        build({"slab": None, "adsorbate": "CO", "surface": surface | {"lattice_angstrom": a}}, data)
        for a in (None, 3.59)
    )
    np.testing.assert_allclose(found["lattice_angstrom"][0, 0], np.sqrt(2) * 3.59, atol=0.01)
    np.testing.assert_allclose(found["slab_angstrom"], known["slab_angstrom"], atol=0.05)
    assert found["adsorbed_numbers"].tolist() == [6, 8]
