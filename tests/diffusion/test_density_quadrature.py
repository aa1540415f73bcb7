"""Log densities by quadrature along the path: against closed forms and against the adaptive solution, and their cost."""

import pytest
import torch
from exact import FIELD, PROCESSES, as_process, in_ten_dimensions, two_states

from dig_core.diffusion import density_quadrature
from dig_core.diffusion.density import log_density
from dig_core.diffusion.density_quadrature import log_density_by_quadrature
from dig_core.diffusion.divergence import ExactDivergence, HutchinsonDivergence
from dig_core.diffusion.processes import VarianceExploding, mean_free

DATA = {"two_states": two_states(), "ten": in_ten_dimensions()}


def found(data, process, x, *options):
    return log_density_by_quadrature(data.score(process), {FIELD: process}, {FIELD: x}, *options)


@pytest.mark.parametrize("intervals", [2, 4, 8, 16])
def test_the_rule_integrates_polynomials_exactly(intervals):
    """Of n intervals up to degree n (n + 1 for symmetry), on any interval; beyond, not."""
    ends = (-5.3, 1.4)
    nodes = torch.tensor(density_quadrature._nodes(ends, intervals), dtype=torch.float64)
    for degree in range(intervals + 2):
        values = ((nodes + 2.0) / 3.0) ** degree
        exact = 3.0 * (((ends[1] + 2.0) / 3.0) ** (degree + 1) - ((ends[0] + 2.0) / 3.0) ** (degree + 1))
        integral = density_quadrature._rule(values[:, None, None], ends).item()
        if degree <= intervals:
            assert integral == pytest.approx(exact / (degree + 1), rel=1e-10)
    assert nodes[0] == ends[0] and nodes[-1] == ends[1]
    half = torch.tensor(density_quadrature._nodes(ends, intervals // 2), dtype=torch.float64)
    assert torch.allclose(nodes[::2], half)


@pytest.mark.parametrize(
    ("case", "name"), [*(("two_states", name) for name in PROCESSES), ("ten", "exploding")]
)
def test_the_density_is_that_of_the_adaptive_solution(case, name):
    data, process = DATA[case], as_process(name)
    x = data.draw(12, torch.Generator().manual_seed(0))
    exact = log_density(data.score(process), {FIELD: process}, {FIELD: x}, tolerance=1e-4).log_density
    own = found(data, process, x, None, 0.02)
    # Beyond the tolerance the change bounds the error; both are large where paths part suddenly, between two points.
    error = (own.log_density - exact).abs()
    assert (error <= own.change.clamp(min=0.02) + 3e-3).all()
    assert error.median().item() < 0.02


def test_closed_form_of_a_blurred_gaussian():
    """The flow of a variance-exploding process with sigma_max of 80 forgets the data to 1e-3 nats."""
    data, process = in_ten_dimensions(), VarianceExploding(0.05, 80.0)
    x = data.marginal(1.0, 0.05).draw(12, torch.Generator().manual_seed(1))
    own = found(data, process, x, None, 0.01)
    assert (own.log_density - data.marginal(1.0, 0.05).log_density(x)).abs().max().item() < 0.05


def test_only_structures_that_need_it_get_more_points():
    data, process = two_states(), VarianceExploding(0.01, 20.0)
    x = data.draw(60, torch.Generator().manual_seed(2))
    own = found(data, process, x, None, 0.05)
    settled = own.change <= 0.05
    assert set(own.evaluations.tolist()) <= {17, 33, 65} and len(set(own.evaluations.tolist())) > 1
    assert settled[own.evaluations < 65].all()
    alone = found(data, process, x[:7], None, 0.05)
    assert (alone.log_density - own.log_density[:7]).abs().max().item() < 1e-3
    assert alone.evaluations.tolist() == own.evaluations[:7].tolist()


def test_probes_agree_with_the_exact_divergence_within_their_error():
    data, process = in_ten_dimensions(), VarianceExploding(0.05, 80.0)
    x = data.draw(100, torch.Generator().manual_seed(3))
    exact = found(data, process, x, ExactDivergence())
    probes = found(data, process, x, HutchinsonDivergence(torch.Generator().manual_seed(4), probes=20))
    deviation = (probes.log_density - exact.log_density) / probes.standard_error
    assert (deviation.abs() < 3).double().mean().item() > 0.97
    assert torch.equal(exact.standard_error, torch.zeros(100).double())


def test_mean_free_structures_and_a_bad_score():
    process = VarianceExploding(0.05, 40.0, projection=mean_free)
    x = mean_free(torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64))

    def score(state, time):
        return {"p": -state["p"] / (1.0 + process.sigma(time)[:, None, None] ** 2)}

    own = log_density_by_quadrature(score, {"p": process}, {"p": x}, None, 0.01).log_density
    variance = 1.0 + 0.05**2
    expected = (
        -0.5 * x.square().sum(dim=(1, 2)) / variance
        - 4.5 * torch.tensor(2 * torch.pi * variance, dtype=torch.float64).log()
    )
    assert (own - expected).abs().max().item() < 0.02
    with pytest.raises(ValueError, match="finite"):
        log_density_by_quadrature(lambda state, time: {"p": state["p"] * torch.nan}, {"p": process}, {"p": x})
    with pytest.raises(ValueError, match="subspace"):
        log_density_by_quadrature(score, {"p": process}, {"p": x + 1.0})
