"""The bundled histogram against densities that are known."""

import numpy as np
import pytest

from dig_core.evaluation.statistics import TorsionRegion
from dig_core.evaluation.tight_reference import (
    TightReference,
    condense,
    read_tight_reference,
    tight_reference_of,
)
from dig_core.files import save_arrays

EDGES = np.linspace(-180.0, 180.0, 51)
RIGHT = TorsionRegion((0.0, 180.0), (-180.0, 180.0))


def reference(shares_right: list[float]) -> TightReference:
    """Blocks of equal weight, each with its share of the weight at phi > 0, uniform within the halves."""
    blocks = np.empty((len(shares_right), 50, 50))
    for block, share in zip(blocks, shares_right, strict=True):
        block[:25], block[25:] = (1 - share) / 1250, share / 1250
    return TightReference(EDGES, 7.0 * blocks, np.arange(len(shares_right)))


def test_population_and_its_error_by_blocks():
    own = reference([0.1, 0.3, 0.2, 0.4])
    assert own.population(RIGHT) == pytest.approx(0.25)
    exact = np.std([0.1, 0.3, 0.2, 0.4], ddof=1) / 2
    error = own.population_standard_error(RIGHT, np.random.default_rng(0), 20000)
    assert error == pytest.approx(exact, rel=0.03)
    assert reference([0.1]).population_standard_error(RIGHT, np.random.default_rng(0)) == 0.0


def test_landscape_sums_cells():
    cells = np.random.default_rng(0).random((1, 50, 50))
    own = TightReference(EDGES, cells, np.zeros(1, dtype=int))
    merged = cells[0].reshape(10, 5, 10, 5).sum(axis=(1, 3)) / cells.sum()
    assert np.allclose(own.landscape(10, 300.0).probability, merged)
    assert np.allclose(own.landscape(50, 300.0).probability, cells[0] / cells.sum())
    assert own.landscape(37, 300.0).probability.sum() == pytest.approx(1.0)


def test_draws_follow_the_cells_and_fill_them():
    own = reference([0.25])
    points = own.draw(20000, np.random.default_rng(1))
    assert np.mean(points[:, 0] > 0) == pytest.approx(0.25, abs=0.012)
    within = np.mod(np.degrees(points) + 180.0, 7.2) / 7.2
    assert np.allclose(within.mean(axis=0), 0.5, atol=0.01) and np.allclose(within.var(), 1 / 12, atol=0.003)


def test_reading_and_a_file_that_does_not_fit(tmp_path):
    path, cells = tmp_path / "tight.npz", np.ones((2, 50, 50), dtype=np.float32)
    origin = {"replica": np.array([1, 2]), "molecule": "alanine", "temperature_K": 300.0}
    save_arrays(path, {}, edges_deg=EDGES, histograms=cells, **origin)
    assert read_tight_reference(path).population(RIGHT) == pytest.approx(0.5)
    assert tight_reference_of(path, "alanine", 300.0) is not None
    for other in (("serine", 300.0), ("alanine", 310.0)):
        assert tight_reference_of(path, *other) is None
    save_arrays(path, {}, edges_deg=EDGES[:-1], histograms=cells, **origin)
    with pytest.raises(ValueError, match="expected histograms on cells from -180 to 180"):
        read_tight_reference(path)


def test_condensed_replicas_keep_their_weight_in_each_cell():
    generator = np.random.default_rng(0)
    points = [generator.uniform(-np.pi, np.pi, (5000, 2)) for _ in range(2)]
    weights = [w / w.sum() for w in (generator.random(5000), np.where(points[1][:, 0] > 0, 3.0, 1.0))]
    own = condense(points, weights, blocks=4)
    assert own.histograms.shape == (8, 250, 250)
    assert own.replica.tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    np.testing.assert_allclose(own.histograms[:4].sum(), 1.0)
    exact = np.mean([w[p[:, 0] > 0].sum() for p, w in zip(points, weights, strict=True)])
    assert own.population(RIGHT) == pytest.approx(exact, abs=1e-9)
