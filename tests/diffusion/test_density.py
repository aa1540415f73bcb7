"""Log densities against closed forms, for every process: exact and estimated divergence, subspace, normalisation, errors."""

import math

import pytest
import torch
from exact import FIELD, PROCESSES, as_process, gaussian, in_one_dimension, in_ten_dimensions, two_states

from dig_core.diffusion.density import LogDensity, log_density
from dig_core.diffusion.divergence import (
    ExactDivergence,
    HutchinsonDivergence,
    curvatures,
    subspace_basis,
)
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.processes import Process, VarianceExploding, VariancePreserving, mean_free
from tests.molecules_for_tests import graph, noisy, small_molecule, tiny_network

DATA = {
    "one": in_one_dimension(),
    "gaussian": gaussian(),
    "two_states": two_states(),
    "ten": in_ten_dimensions(),
}


def draws(data, count=20, seed=0):
    return data.draw(count, torch.Generator().manual_seed(seed))


def first_tau(process: Process) -> float:
    return process.noise_to_signal(torch.tensor(process.minimal_time).double()).item()


def with_exact_prior(found: LogDensity, data, process: Process) -> torch.Tensor:
    """The log density if the prior were the law of the data at the maximal time, which it is not quite."""
    end, x = torch.tensor(process.maximal_time).double(), found.latent[FIELD]
    law = data.marginal(process.alpha(end).item(), process.sigma(end).item())
    scale = process.prior_scale()
    prior = -0.5 * (x / scale).square().sum(dim=1) - x.shape[1] * math.log(scale * math.sqrt(2 * math.pi))
    return found.log_density - prior + law.log_density(x)


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("case", DATA)
def test_exact_divergence_gives_the_density_of_the_blurred_data(case, name):
    data, process = DATA[case], as_process(name)
    x = draws(data)
    found = log_density(data.score(process), {FIELD: process}, {FIELD: x}, tolerance=1e-4)
    blurred = data.marginal(1.0, first_tau(process)).log_density(x)
    assert (with_exact_prior(found, data, process) - blurred).abs().max().item() < 1e-3
    assert torch.equal(found.standard_error, torch.zeros(len(x)).double())
    assert 20 < found.evaluations < 300


@pytest.mark.parametrize(
    "process", [VariancePreserving("linear", minimal_time=0.3), VarianceExploding(0.7, 80.0)]
)
def test_a_flow_that_starts_at_strong_noise_gives_the_density_of_strongly_blurred_data(process):
    """The change of coordinates between structures and z counts here: ln s is 0.46 and 0.20 for each dimension."""
    data, tau = in_ten_dimensions(), first_tau(process)
    x = data.marginal(1.0, tau).draw(20, torch.Generator().manual_seed(0))
    found = log_density(data.score(process), {FIELD: process}, {FIELD: x}, tolerance=1e-4)
    expected = data.marginal(1.0, tau).log_density(x)
    assert tau > 0.6
    assert (with_exact_prior(found, data, process) - expected).abs().max().item() < 1e-3


@pytest.mark.parametrize("name", ["linear", "cosine", "exploding"])
def test_with_the_models_own_prior(name):
    """These processes forget all but 0.01 nat of data that are centred."""
    data, process = two_states(), as_process(name)
    x = draws(data, 200)
    found = log_density(data.score(process), {FIELD: process}, {FIELD: x}).log_density
    assert (found - data.marginal(1.0, first_tau(process)).log_density(x)).abs().max().item() < 0.01


@pytest.mark.parametrize("name", PROCESSES)
def test_halving_the_tolerance_changes_less_than_ten_times_the_tolerance(name):
    data, process = two_states(), as_process(name)
    x, tolerance = draws(data, 50), 2e-3

    def at(tolerance):
        return log_density(data.score(process), {FIELD: process}, {FIELD: x}, None, tolerance)

    coarse, fine, finest = at(tolerance), at(tolerance / 2), at(tolerance / 50)
    assert (coarse.log_density - fine.log_density).abs().max().item() < 10 * tolerance
    assert (coarse.log_density - finest.log_density).abs().max().item() < 10 * tolerance
    assert coarse.evaluations < finest.evaluations


@pytest.mark.parametrize("name", ["cosine", "exploding"])
@pytest.mark.parametrize("wrong", [False, True])
def test_density_integrates_to_one(name, wrong):
    """For any score, also a wrong one with a curl: the flow is a change of variables."""
    process = as_process(name)
    exact = gaussian().score(process)

    def score(state, time):
        x, level = state[FIELD], process.sigma(time)[:, None]
        push = 0.3 * torch.sin(2 * x.flip(1)) / (1 + level**2) if wrong else 0.0
        return {FIELD: exact(state, time)[FIELD] + push}

    axis, step = torch.linspace(-5.5, 5.5, 111).double(), 0.1
    points = torch.cartesian_prod(axis, axis)
    found = log_density(score, {FIELD: process}, {FIELD: points}, tolerance=1e-3)
    assert (found.log_density.exp().sum() * step**2).item() == pytest.approx(1.0, abs=3e-3)


def ten_dimensions(divergence, x, name="exploding"):
    data, process = in_ten_dimensions(), as_process(name)
    return log_density(data.score(process), {FIELD: process}, {FIELD: x}, divergence)


def test_probes_give_the_density_within_their_standard_error():
    x = draws(in_ten_dimensions(), 300)
    exact = ten_dimensions(ExactDivergence(), x).log_density
    found = ten_dimensions(HutchinsonDivergence(torch.Generator().manual_seed(1), probes=20), x)
    deviation = (found.log_density - exact) / found.standard_error
    # Student's t with 19 degrees of freedom: 0.7 % beyond 3, a variance of 19/17.
    assert (deviation.abs() < 3).double().mean().item() > 0.97
    assert deviation.square().mean().item() == pytest.approx(19 / 17, abs=0.3)
    assert 0.05 < found.standard_error.mean().item() < 1.0


def test_probes_are_unbiased():
    x = draws(in_ten_dimensions(), 1).expand(1000, -1)
    exact = ten_dimensions(ExactDivergence(), x[:1]).log_density.item()
    found = ten_dimensions(HutchinsonDivergence(torch.Generator().manual_seed(2), probes=2), x).log_density
    assert abs(found.mean().item() - exact) < 3 * found.std().item() / 1000**0.5


def test_probes_of_a_structure_do_not_depend_on_the_batch():
    x = draws(in_ten_dimensions(), 5)

    def found(chosen):
        own = [torch.Generator().manual_seed(40 + i) for i in chosen]
        return ten_dimensions(HutchinsonDivergence(own, probes=4), x[chosen])

    five, one = found([0, 1, 2, 3, 4]), found([3])
    # The step size is shared: equal within the tolerance of 1e-3, with errors of the probes of 0.3 and more.
    torch.testing.assert_close(five.log_density[3:4], one.log_density, rtol=0, atol=0.01)
    torch.testing.assert_close(five.standard_error[3:4], one.standard_error, rtol=0, atol=0.01)
    assert five.standard_error[3] > 0.05


def centred_gaussian_score(process: Process, variance: float):
    """Of N(0, variance) on any subspace; it also pushes out of it, which must not matter."""

    def score(state, time):
        spread = process.alpha(time) ** 2 * variance + process.sigma(time) ** 2
        return {FIELD: -state[FIELD] / spread.reshape(-1, 1, 1) + 0.3}

    return score


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize(
    "process",
    [VariancePreserving("linear", projection=mean_free), VarianceExploding(0.01, 80.0, projection=mean_free)],
)
def test_mean_free_positions_have_three_dimensions_less(process, estimated):
    """4 atoms: 9 dimensions. A prior or a divergence in 12 dimensions would be 2.8 nats off and more."""
    x = mean_free(torch.randn(30, 4, 3, generator=torch.Generator().manual_seed(0)).double())
    divergence = HutchinsonDivergence(torch.Generator(), 400) if estimated else ExactDivergence()
    found = log_density(centred_gaussian_score(process, 0.5), {FIELD: process}, {FIELD: x}, divergence, 1e-4)
    variance = 0.5 + first_tau(process) ** 2
    expected = -0.5 * x.square().sum(dim=(1, 2)) / variance - 4.5 * math.log(2 * math.pi * variance)
    allowed = 4 * found.standard_error if estimated else 0.01
    assert bool(((found.log_density - expected).abs() < allowed + 2e-3).all())
    assert found.latent[FIELD].mean(dim=1).abs().max().item() < 1e-9


def test_products_add_their_log_densities():
    """Two independent Gaussians of different width, shape and process, which do not share their noise levels."""
    product = {
        "positions": VariancePreserving("linear", projection=mean_free),
        "lattice": VarianceExploding(0.002, 40.0),
    }
    width, generator = {"positions": 0.8, "lattice": 1.3}, torch.Generator().manual_seed(3)
    shapes = {"positions": (20, 3, 3), "lattice": (20, 6)}

    def score(state, time):
        spread = {f: p.alpha(time) ** 2 * width[f] ** 2 + p.sigma(time) ** 2 for f, p in product.items()}
        return {f: -x / spread[f].reshape(-1, *[1] * (x.ndim - 1)) for f, x in state.items()}

    state = {
        f: p.projection(torch.randn(shapes[f], generator=generator).double()) for f, p in product.items()
    }
    expected = torch.zeros(20).double()
    for (field, process), dimension in zip(product.items(), (6, 6), strict=True):
        variance = width[field] ** 2 + first_tau(process) ** 2
        squares = state[field].flatten(1).square().sum(dim=1) / variance
        expected -= 0.5 * (squares + dimension * math.log(2 * math.pi * variance))
    found = log_density(score, product, state, tolerance=1e-4)
    torch.testing.assert_close(found.log_density, expected, rtol=0, atol=0.01)
    assert {field: x.shape for field, x in found.latent.items()} == shapes


def test_curvatures_are_those_of_the_full_jacobian_in_any_chunks():
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(0)).double()
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)).double()

    def field(x):
        return torch.tanh(x @ mixing).clone().mul_(x.square().sum(dim=1, keepdim=True))

    jacobians = torch.stack([torch.func.jacrev(lambda x: field(x[None])[0])(one) for one in x])
    directions = torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(2)).double()
    expected = torch.einsum("dbi,bij,dbj->db", directions, jacobians, directions)
    for rows in (1, 8, 1000):
        value, found = curvatures(field, x, directions, rows)
        torch.testing.assert_close(value, field(x))
        torch.testing.assert_close(found, expected)


def test_basis_spans_the_subspace():
    def centred(flat):
        return mean_free(flat.reshape(-1, 5, 3)).flatten(1)

    basis = subspace_basis(centred, torch.zeros(1, 15).double())
    torch.testing.assert_close(basis @ basis.T, torch.eye(12).double())
    torch.testing.assert_close(centred(basis), basis)


ETHANOL = small_molecule("CCO")  # 9 atoms


def molecule_score(process: Process, noise: float):
    network = tiny_network(noise=noise).requires_grad_(False)
    conditions = network.conditions(graph(ETHANOL))
    return preconditioned(
        lambda state, tau: {FIELD: network(state[FIELD], tau, conditions)}, {FIELD: process}
    )


def test_network_density_does_not_change_under_rotation():
    """The in-place operations of the network included; its divergence is the sum of single Jacobian-vector products."""
    process = VarianceExploding(0.01, 40.0, projection=mean_free)
    score, x = molecule_score(process, 0.02), mean_free(noisy(ETHANOL, 2, 0.1))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(4)).double())[0]
    turn = turn * torch.linalg.det(turn)
    found, turned = (log_density(score, {FIELD: process}, {FIELD: y}, None, 0.01) for y in (x, x @ turn))
    torch.testing.assert_close(turned.log_density, found.log_density, rtol=0, atol=0.1)
    time = torch.full((2,), 0.6).double()

    def field(y):
        return score({FIELD: y.reshape(2, 9, 3)}, time)[FIELD].flatten(1)

    basis = subspace_basis(lambda y: mean_free(y.reshape(-1, 9, 3)).flatten(1), x.flatten(1))[:5]
    along = curvatures(field, x.flatten(1), basis[:, None].expand(-1, 2, -1), 4)[1]
    for v, one in zip(basis, along, strict=True):
        product = torch.func.jvp(field, (x.flatten(1),), (v.expand(2, -1),))[1]
        torch.testing.assert_close((v * product).sum(dim=1), one)


def test_untrained_network_is_the_normal_distribution():
    """Its raw output is 0: the score of data of unit variance, in 24 dimensions; in single precision too."""
    process = VarianceExploding(0.01, 40.0, projection=mean_free)
    score, x = molecule_score(process, 0.0), mean_free(noisy(ETHANOL, 3, 0.1))
    variance = 1 + 0.01**2
    expected = -0.5 * x.square().sum(dim=(1, 2)) / variance - 12.0 * math.log(2 * math.pi * variance)

    def single(state, time):
        assert state[FIELD].dtype == time.dtype == torch.float32
        return {FIELD: score({FIELD: state[FIELD].double()}, time.double())[FIELD].float()}

    for own, state in ((score, x), (single, x.float())):
        found = log_density(own, {FIELD: process}, {FIELD: state}, tolerance=0.01)
        torch.testing.assert_close(found.log_density, expected, rtol=0, atol=1e-3)
        assert found.latent[FIELD].dtype == state.dtype


def test_impossible_calls_are_refused():
    process, data = as_process("linear"), gaussian()
    exact, x = data.score(process), {FIELD: draws(data)}
    with pytest.raises(ValueError, match="expected a state of the fields"):
        log_density(exact, {FIELD: process}, {"lattice": x[FIELD]})
    with pytest.raises(ValueError, match="expected a score that depends on the state with a gradient"):
        log_density(torch.no_grad()(exact), {FIELD: process}, x)
    with pytest.raises(ValueError, match="expected a finite slope"):
        log_density(lambda state, time: {FIELD: state[FIELD] * math.nan}, {FIELD: process}, x)
    with pytest.raises(ValueError, match="expected a finite slope"):
        # Finite, with a gradient that is not.
        log_density(lambda *at: {FIELD: exact(*at)[FIELD] + (0 * at[0][FIELD]).sqrt()}, {FIELD: process}, x)
    with pytest.raises(ValueError, match="expected states in the subspace"):
        centred = VariancePreserving("linear", projection=mean_free)
        log_density(exact, {FIELD: centred}, {FIELD: torch.ones(2, 4, 3).double()})
    with pytest.raises(ValueError, match="expected an orthogonal projection"):
        subspace_basis(lambda flat: 2 * flat, torch.zeros(1, 3).double())
    with pytest.raises(ValueError, match="expected probes >= 1"):
        HutchinsonDivergence(torch.Generator(), 0)
    with pytest.raises(ValueError, match="expected probes >= 2"):
        log_density(exact, {FIELD: process}, x, HutchinsonDivergence(torch.Generator(), 1))
