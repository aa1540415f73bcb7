"""Every sampler with every process, fed exact scores: moments, weights, order, subspace, determinism."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from exact import FIELD, PROCESSES, Mixture, as_process, gaussian, two_states

from dig_core.diffusion.processes import VarianceExploding, VariancePreserving, denoised, mean_free
from dig_core.diffusion.samplers import SAMPLERS, predictor_corrector, sampling_times
from dig_core.settings.sampling import score_evaluations

BORDER = 0.44  # along x, midway between the two states


@dataclass(frozen=True)
class Case:
    """A sampler at a number of times, and what discretisation is allowed to cost it.

    On covariances, relative to the variances: of the whole (`total`) and of each of two narrow states
    (`within`); on the mean of such a state, in its standard deviations (`shift`); on the weight of a state
    (`weight`). Statistical errors, 4 standard errors, come on top.
    """

    sampler: str
    steps: int
    samples: int
    total: float
    within: float
    shift: float = 0.0
    weight: float = 0.0


# The allowances are about 1.5 times what was measured for the worst process.
CASES = [
    Case("ancestral", 500, 5_000, total=0.02, within=0.05),
    Case("probability_flow", 50, 20_000, total=0.03, within=0.06),
    Case("dpm_solver", 25, 20_000, total=0.10, within=0.20, shift=0.10),
    Case("dpm_solver", 50, 20_000, total=0.03, within=0.08),
    Case("sde_dpm_solver", 25, 20_000, total=0.20, within=0.25, shift=0.30, weight=0.015),
    Case("sde_dpm_solver", 50, 20_000, total=0.05, within=0.12),
    Case("predictor_corrector", 50, 10_000, total=0.05, within=0.12),
]
CASE_NAMES = [f"{case.sampler}-{case.steps}" for case in CASES]


def run(case: Case, name: str, data: Mixture, sampler=None) -> torch.Tensor:
    process, generator = as_process(name), torch.Generator().manual_seed(7)
    product = {FIELD: process}
    times = sampling_times(product, case.steps)
    if name == "sigmoid":
        # It ends with 8 % of the signal left; the prior would add its own, known error to the sampler's.
        start = data.marginal(process.alpha(times[0]).item(), process.sigma(times[0]).item()).draw(
            case.samples, generator
        )
    else:
        start = process.prior(torch.zeros(case.samples, 2, dtype=torch.float64), generator)
    sampler = sampler or SAMPLERS[case.sampler]
    return sampler(data.score(process), product, {FIELD: start}, times, generator)[FIELD]


def assert_moments(x: torch.Tensor, data: Mixture, allowance: float, shift: float = 0.0) -> None:
    """Mean and covariance within 4 standard errors and the allowances for discretisation."""
    covariance = data.covariance()
    deviation = covariance.diagonal().sqrt()
    error = 4 / len(x) ** 0.5
    assert ((x.mean(dim=0) - data.mean()) / deviation).abs().max().item() < error + shift
    relative = (torch.cov(x.T) - covariance) / torch.outer(deviation, deviation)
    assert relative.abs().max().item() < 2**0.5 * error + allowance


def assert_two_states(x: torch.Tensor, case: Case) -> None:
    """The weight 0.7 and the moments of each state."""
    data, major = two_states(), x[:, 0] < BORDER
    weight = major.double().mean().item()
    assert abs(weight - 0.7) < 4 * (0.21 / len(x)) ** 0.5 + case.weight, (
        f"expected 70 % in the major state; got {weight:.1%}"
    )
    for state, members in enumerate((x[major], x[~major])):
        single = Mixture(torch.ones(1).double(), data.means[[state]], data.covariances[[state]])
        assert_moments(members, single, case.within, case.shift)


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("case", CASES, ids=CASE_NAMES)
def test_gaussian_moments(case, name):
    assert_moments(run(case, name, gaussian()), gaussian(), case.total)


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("case", CASES, ids=CASE_NAMES)
def test_two_states_keep_their_weights_and_widths(case, name):
    assert_two_states(run(case, name, two_states()), case)


def noiseless_reverse_drift(score, process, start, times, generator):
    """The wrong sampler of the released DiG protein code: the full drift of the reverse SDE, and no noise."""
    x, own = start[FIELD], process[FIELD]
    for now, after in pairwise(times):
        step, time = now - after, now.expand(len(x))
        drift = own.drift(x, time) - own.diffusion(now) ** 2 * score({FIELD: x}, time)[FIELD]
        x = x - step * drift
    return denoised(score, process, {FIELD: x}, times[-1].expand(len(x)))


def test_the_check_catches_the_full_drift_without_noise():
    case = Case("none", 500, 4_000, total=0.02, within=0.05)
    x = run(case, "linear", two_states(), noiseless_reverse_drift)
    assert (x[:, 0] < BORDER).double().mean().item() > 0.99
    with pytest.raises(AssertionError, match="expected 70 %"):
        assert_two_states(x, case)


def test_ancestral_is_exact_for_unit_variance_at_any_step_size():
    unit = Mixture(torch.ones(1).double(), torch.zeros(1, 2).double(), torch.eye(2).double()[None])
    for name in PROCESSES:
        assert_moments(run(Case("ancestral", 5, 20_000, 0.0, 0.0), name, unit), unit, 0.0)


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_single_structure_is_found_in_few_steps(sampler, name):
    """With a point for data D is constant, and the last step returns it whatever came before."""
    point = torch.tensor([[0.3, -0.8]], dtype=torch.float64)
    data = Mixture(torch.ones(1).double(), point, torch.zeros(1, 2, 2).double())
    x = run(Case(sampler, 5, 10, 0.0, 0.0), name, data)
    torch.testing.assert_close(x, point.expand(10, 2), rtol=0, atol=1e-8)


def flow_error(sampler: str, name: str, steps: int) -> float:
    """Largest error of an end point of the probability flow of a Gaussian, known in closed form."""
    process, data = as_process(name), gaussian()
    product = {FIELD: process}
    times = sampling_times(product, steps)
    start = process.prior(torch.zeros(50, 2, dtype=torch.float64), torch.Generator().manual_seed(0))
    found = SAMPLERS[sampler](data.score(process), product, {FIELD: start}, times, None)[FIELD]
    first, last = process.noise_to_signal(times[[0, -1]]).tolist()
    variances, axes = torch.linalg.eigh(data.covariance())
    along = (start / process.alpha(times[0]) - data.mean()) @ axes
    flow = along * torch.sqrt((variances + last**2) / (variances + first**2))
    expected = data.mean() + (flow * variances / (variances + last**2)) @ axes.T
    return (found - expected).abs().max().item()


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("sampler", ["dpm_solver", "probability_flow"])
def test_deterministic_solvers_are_of_second_order(sampler, name):
    coarse, fine, finest = (flow_error(sampler, name, steps) for steps in (31, 61, 121))
    assert finest < 4e-3
    assert 3.3 < coarse / fine < 4.8 and 3.5 < fine / finest < 4.5


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["linear", "exploding"])
def test_the_mean_of_positions_stays_at_zero(sampler, name):
    """Also with a score that points out of the subspace; the variance is that of 3 free atoms of 4."""
    whole = as_process(name)
    process = (
        VarianceExploding(whole.sigma_min, whole.sigma_max, projection=mean_free)
        if name == "exploding"
        else VariancePreserving(name, projection=mean_free)
    )

    def score(state, time):
        scale = process.alpha(time) ** 2 * 0.5 + process.sigma(time) ** 2
        return {FIELD: -state[FIELD] / scale[:, None, None] + 0.3}

    generator = torch.Generator().manual_seed(0)
    start = {FIELD: process.prior(torch.zeros(2000, 4, 3, dtype=torch.float64), generator)}
    times = sampling_times({FIELD: process}, 50)
    x = SAMPLERS[sampler](score, {FIELD: process}, start, times, generator)[FIELD]
    assert x.mean(dim=-2).abs().max().item() < 1e-12
    assert x.square().sum().item() / (2000 * 9 * 0.5) == pytest.approx(
        1.0, abs=4 * (2 / 18_000) ** 0.5 + 0.06
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sample_does_not_depend_on_the_batch(sampler):
    process = VariancePreserving("cosine")
    product = {FIELD: process}
    times = sampling_times(product, 12)

    def draw(seeds):
        own = [torch.Generator().manual_seed(seed) for seed in seeds]
        start = {FIELD: process.prior(torch.zeros(len(seeds), 2, dtype=torch.float64), own)}
        return SAMPLERS[sampler](two_states().score(process), product, start, times, own)[FIELD]

    seven, one = draw(range(40, 47)), draw([44])
    torch.testing.assert_close(seven[4:5], one, rtol=0, atol=1e-12)
    assert (seven[3] - seven[4]).abs().max().item() > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_products_treat_each_field_with_its_own_process(sampler):
    """Two independent Gaussians of different width, shape and process."""
    product = {"positions": VariancePreserving("linear"), "lattice": VarianceExploding(0.002, 40.0)}
    width = {"positions": 0.8, "lattice": 1.3}

    def score(state, time):
        spread = {f: p.alpha(time) ** 2 * width[f] ** 2 + p.sigma(time) ** 2 for f, p in product.items()}
        return {f: -x / spread[f].reshape(-1, *[1] * (x.ndim - 1)) for f, x in state.items()}

    generator = torch.Generator().manual_seed(3)
    shapes = {"positions": (4000, 2, 3), "lattice": (4000, 6)}
    start = {f: p.prior(torch.zeros(shapes[f], dtype=torch.float64), generator) for f, p in product.items()}
    x = SAMPLERS[sampler](score, product, start, sampling_times(product, 100), generator)
    for field, expected in width.items():
        assert x[field].shape == shapes[field]
        assert x[field].std().item() == pytest.approx(expected, rel=4 / 48_000**0.5 + 0.02)


@pytest.mark.parametrize("correctors", [0, 7])
def test_a_corrector_is_an_evaluation(correctors):
    process = {FIELD: VariancePreserving("linear")}
    exact, calls = two_states().score(process[FIELD]), []

    def score(state, time):
        calls.append(time[0].item())
        return exact(state, time)

    start = {FIELD: process[FIELD].prior(torch.zeros(64, 2).double(), torch.Generator().manual_seed(0))}
    times, generator = sampling_times(process, 25), torch.Generator().manual_seed(1)
    predictor_corrector(score, process, start, times, generator, correctors)
    assert len(calls) == score_evaluations("predictor_corrector", 25, correctors)
    assert (len(set(calls)) > 25) == (correctors > 0)  # correctors ask above their level


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_type_evaluations_start_and_global_state(sampler):
    process = VariancePreserving("linear")
    product, exact, calls = {FIELD: process}, two_states().score(process), []

    def score(state, time):
        assert state[FIELD].dtype == time.dtype == torch.float32 and time.shape == (64,)
        assert not torch.is_grad_enabled()
        calls.append(time[0].item())
        return {FIELD: exact({FIELD: state[FIELD].double()}, time.double())[FIELD].float()}

    start = {FIELD: process.prior(torch.zeros(64, 2), torch.Generator().manual_seed(0))}
    kept, before = start[FIELD].clone(), torch.get_rng_state()
    times = sampling_times(product, 25)
    single = SAMPLERS[sampler](score, product, start, times, torch.Generator().manual_seed(1))[FIELD]
    assert single.dtype == torch.float32 and torch.equal(start[FIELD], kept)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(calls) == {"probability_flow": 49, "predictor_corrector": 121}.get(sampler, 25)
    assert len(calls) == score_evaluations(sampler, 25)  # which plans and costs reckon with
    again = SAMPLERS[sampler](score, product, start, times.float(), torch.Generator().manual_seed(1))[FIELD]
    torch.testing.assert_close(again, single, rtol=0, atol=1e-4)


def test_single_precision_follows_double_precision():
    process, data = VariancePreserving("cosine"), gaussian()
    product = {FIELD: process}
    start = process.prior(torch.zeros(100, 2, dtype=torch.float64), torch.Generator().manual_seed(0))
    exact = data.score(process)

    def single(state, time):
        return {FIELD: exact({FIELD: state[FIELD].double()}, time.double())[FIELD].float()}

    for name in ("probability_flow", "dpm_solver"):
        double = SAMPLERS[name](exact, product, {FIELD: start}, sampling_times(product, 25), None)[FIELD]
        found = SAMPLERS[name](single, product, {FIELD: start.float()}, sampling_times(product, 25), None)[
            FIELD
        ]
        torch.testing.assert_close(found.double(), double, rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", PROCESSES)
def test_sampling_times_follow_karras(name):
    process = as_process(name)
    times = sampling_times({FIELD: process}, 20)
    assert times.dtype == torch.float64 and bool((times.diff() < 0).all())
    assert times[0].item() == process.maximal_time and times[-1].item() == process.minimal_time
    spacing = (process.noise_to_signal(times) ** (1 / 7)).diff()
    torch.testing.assert_close(spacing, spacing.mean().expand(19), rtol=1e-6, atol=0)


def test_impossible_calls_are_refused():
    process = VariancePreserving("linear")
    product, start = {FIELD: process}, {FIELD: torch.zeros(2, 2)}
    score, generator = gaussian().score(process), torch.Generator()
    dpm_solver = SAMPLERS["dpm_solver"]
    with pytest.raises(ValueError, match="expected strictly decreasing times"):
        dpm_solver(score, product, start, torch.tensor([0.1, 0.5]), generator)
    with pytest.raises(ValueError, match="expected noise at the last time"):
        dpm_solver(score, product, start, torch.tensor([0.5, 0.0]), generator)
    with pytest.raises(ValueError, match="expected a start for the fields"):
        dpm_solver(score, product, {"lattice": torch.zeros(2, 6)}, torch.tensor([0.5, 0.1]), generator)
    with pytest.raises(ValueError, match="expected steps >= 2"):
        sampling_times(product, 1)
