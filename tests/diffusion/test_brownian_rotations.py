"""Rotations as a field of the diffusion, fed exact scores of poses: weights, widths, order, loss, symmetry, determinism."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from exact import PoseMixture, two_poses
from scipy.stats import kstest

from dig_core import rotations
from dig_core.diffusion.brownian_rotations import BrownianRotations
from dig_core.diffusion.fokker_planck import ReverseStep, reverse_step_residual
from dig_core.diffusion.losses import (
    denoising_score_matching,
    unit_variance_matching,
    unit_variance_residuals,
    unit_variance_weight,
)
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.processes import Process, VarianceExploding, denoised
from dig_core.diffusion.samplers import SAMPLERS, sampling_times

TURNS = BrownianRotations(0.02, 2.33)
PROCESS = {"positions": VarianceExploding(0.02, 30.0), "rotations": TURNS}


@dataclass(frozen=True)
class Case:
    """A sampler at a number of times, and by how much the widths of a pose may be wrong, beside 4 standard errors."""

    sampler: str
    steps: int
    samples: int
    width: float


CASES = [
    Case("ancestral", 200, 1_500, 0.02),
    Case("probability_flow", 25, 3_000, 0.02),
    Case("dpm_solver", 25, 3_000, 0.03),
    Case("sde_dpm_solver", 50, 3_000, 0.03),
    Case("predictor_corrector", 40, 2_000, 0.04),
]
CASE_NAMES = [f"{case.sampler}-{case.steps}" for case in CASES]


def start(count: int, generator, bodies: int = 1, dtype=torch.float64) -> dict[str, torch.Tensor]:
    shapes = {"positions": (count, bodies, 3), "rotations": (count, bodies, 3, 3)}
    return {f: own.prior(torch.zeros(shapes[f], dtype=dtype), generator) for f, own in PROCESS.items()}


def poses(x: dict[str, torch.Tensor], data: PoseMixture) -> tuple[torch.Tensor, torch.Tensor]:
    """The pose of the nearest orientation [batch], and the turns from each [poses, batch, 3]."""
    turns = rotations.logarithm(data.rotations.mT[:, None] @ x["rotations"][:, 0])
    return turns.norm(dim=-1).argmin(dim=0), turns


def assert_two_poses(x: dict[str, torch.Tensor], data: PoseMixture, allowance: float) -> None:
    """The weight 0.7 within 3 binomial standard errors; the widths and centre of each pose in position and orientation."""
    pose, turns = poses(x, data)
    weight = (pose == 0).double().mean().item()
    assert abs(weight - 0.7) < 3 * (0.21 / len(pose)) ** 0.5, (
        f"expected 70 % in the major pose; got {weight:.1%}"
    )
    for k in range(2):
        shift = x["positions"][pose == k, 0] - data.positions[k]
        # The last denoised point is sharper than the data by the noise that is left.
        for vectors, width, own in (
            (shift, data.spreads[k].item(), PROCESS["positions"]),
            (turns[k, pose == k], data.widths[k].item(), TURNS),
        ):
            expected = width**2 / math.hypot(width, own.sigma_min)
            error = 4 / (6 * len(vectors)) ** 0.5
            assert vectors.square().mean().sqrt().item() == pytest.approx(expected, rel=error + allowance)
            assert vectors.mean(dim=0).abs().max().item() < 4 * width / len(vectors) ** 0.5


@pytest.mark.parametrize("apart", [2.2, 0.0], ids=["apart", "turned"])
@pytest.mark.parametrize("case", CASES, ids=CASE_NAMES)
def test_two_poses_keep_their_weights_and_widths(case, apart):
    """Also where only the orientation tells them apart."""
    data, generator = two_poses(apart), torch.Generator().manual_seed(5)
    times = sampling_times(PROCESS, case.steps)
    x = SAMPLERS[case.sampler](data.score(PROCESS), PROCESS, start(case.samples, generator), times, generator)
    assert_two_poses(x, data, case.width)


def noiseless_reverse_drift(score, process: dict[str, Process], start, times):
    """The wrong sampler of the released DiG protein code: the full drift of the reverse SDE, and no noise."""
    x = start
    for now, after in pairwise(times):
        slope = score(x, now.expand(len(x["positions"])))
        steps = {f: own.sigma(now) ** 2 - own.sigma(after) ** 2 for f, own in process.items()}
        x = {f: own.displaced(x[f], steps[f] * slope[f]) for f, own in process.items()}
    return denoised(score, process, x, times[-1].expand(len(x["positions"])))


@pytest.mark.parametrize(("share", "least"), [(0.4, 0.97), (1.0, 0.8)], ids=["near", "far"])
def test_the_check_catches_the_full_drift_without_noise(share, least):
    """All go to the major pose where orientations are 0.8 radians apart; 2 radians apart some start on the other side of the turn."""
    data, generator = two_poses(0.0, share), torch.Generator().manual_seed(5)
    times = sampling_times(PROCESS, 150)
    x = noiseless_reverse_drift(data.score(PROCESS), PROCESS, start(500, generator), times)
    assert (poses(x, data)[0] == 0).double().mean().item() > least
    with pytest.raises(AssertionError, match="expected 70 %"):
        assert_two_poses(x, data, 0.05)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_single_pose_is_found_in_few_steps(sampler):
    data = replace(
        two_poses(),
        weights=torch.tensor([1.0, 1e-300], dtype=torch.float64),
        spreads=torch.full((2,), 1e-9, dtype=torch.float64),
        widths=torch.full((2,), 1e-9, dtype=torch.float64),
    )
    generator = torch.Generator().manual_seed(0)
    times = sampling_times(PROCESS, 8)
    x = SAMPLERS[sampler](data.score(PROCESS), PROCESS, start(20, generator), times, generator)
    torch.testing.assert_close(x["positions"][:, 0], data.positions[:1].expand(20, 3), rtol=0, atol=1e-8)
    torch.testing.assert_close(x["rotations"][:, 0], data.rotations[:1].expand(20, 3, 3), rtol=0, atol=1e-3)


def flow_error(sampler: str, steps: int) -> float:
    """Largest error in radians of an end of the flow of one orientation, along which angles keep their order: closed form."""
    product, width = {"rotations": TURNS}, torch.full((50, 1), 0.3, dtype=torch.float64)
    times = sampling_times(product, steps)

    def score(state, time):
        turn = rotations.logarithm(state["rotations"])
        return {"rotations": rotations.score(turn, torch.hypot(width, TURNS.sigma(time)[:, None]))}

    normal = torch.randn(50, 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # In the last 10 %, close to half a turn, small errors of the table of angles grow on the way; they are 1e-5 elsewhere.
    normal = normal * (2.5 / normal.norm(dim=-1, keepdim=True).clamp(min=2.5))
    first, last = (
        rotations.exponential(rotations.from_normal(normal, torch.hypot(width, TURNS.sigma(time))))
        for time in times[[0, -1]]
    )
    found = SAMPLERS[sampler](score, product, {"rotations": first}, times, None)["rotations"]
    expected = denoised(score, product, {"rotations": last}, times[-1:].expand(50))["rotations"]
    return rotations.angle_between(found, expected).max().item()


@pytest.mark.parametrize("sampler", ["dpm_solver", "probability_flow"])
def test_deterministic_solvers_are_of_second_order(sampler):
    coarse, fine, finest = (flow_error(sampler, steps) for steps in (21, 41, 81))
    assert finest < 2e-3
    assert 2.7 < coarse / fine < 4.5 and 3.3 < fine / finest < 4.5


@pytest.mark.parametrize("time", [0.0, 0.6, 0.9, 1.0])
def test_perturbed_rotations_are_brownian_and_opposite_noise_turns_back(time):
    generator = torch.Generator().manual_seed(1)
    clean = TURNS.prior(torch.zeros(5_000, 2, 3, 3), generator)
    noise, times = TURNS.noise(clean, generator), torch.full((5_000,), time)
    turned, back = (TURNS.perturb(clean, times, sign * noise) for sign in (1, -1))
    assert noise.shape == (5_000, 2, 3) and turned.dtype == torch.float32
    vectors = TURNS.displacement(clean, turned)
    torch.testing.assert_close(-TURNS.displacement(clean, back), vectors, rtol=0, atol=2e-3)
    grid = torch.linspace(0, math.pi, 4001, dtype=torch.float64)
    density = rotations.angle_density(grid, TURNS.sigma(times[:1]).double().expand_as(grid))
    cumulative = torch.cat([torch.zeros(1), torch.cumulative_trapezoid(density, grid)])
    angles = vectors.norm(dim=-1).flatten()
    uniform = torch.tensor([cumulative[min(4000, k)] for k in (angles / grid[1]).round().int().tolist()])
    # At the smallest sigma 0.02 radians are 25 points of the grid.
    assert kstest(uniform.numpy(), "uniform").statistic < 1.95 / 100 + (0.02 if time == 0.0 else 0.002)


def test_the_prior_is_uniform_and_its_mismatch_told():
    drawn = TURNS.prior(torch.zeros(4_000, 3, 3, 3, dtype=torch.float64), torch.Generator().manual_seed(0))
    vectors = rotations.logarithm(drawn).flatten(0, 1)
    angle = vectors.norm(dim=1)
    assert kstest(((angle - angle.sin()) / math.pi).numpy(), "uniform").pvalue > 1e-3
    assert vectors.square().mean().sqrt().item() == pytest.approx(TURNS.prior_scale(), rel=0.01)
    assert drawn.mean(dim=(0, 1)).abs().max().item() < 4 / (3 * 12_000) ** 0.5
    assert torch.linalg.det(drawn).min().item() > 0.999
    # (3 exp(-sigma^2))^2 / 2 for large sigma.
    expected = 100 * 4.5 * math.exp(-2 * 2.33**2)
    assert TURNS.prior_mismatch_nats(1.0, 300) == pytest.approx(expected, rel=0.05)


def exact_and_draws(count: int, time: float):
    data, generator = two_poses(), torch.Generator().manual_seed(2)
    clean = data.draw(count, generator)
    noise = {field: own.noise(clean[field], generator) for field, own in PROCESS.items()}
    return data.score(PROCESS), clean, torch.full((count,), time, dtype=torch.float64), noise


@pytest.mark.parametrize("time", [0.3, 0.7, 0.9])
def test_the_loss_is_least_at_the_exact_score(time):
    """Loss(s + d) - loss(s) = sigma^2 E |d|^2 / 3 of a shift d of the rotations' score alone, which would not hold for another s."""
    exact, clean, times, noise = exact_and_draws(20_000, time)
    sigma = TURNS.sigma(times[0]).item()
    for wrong in (
        lambda s, x: s + 0.2 / sigma * torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64),
        lambda s, x: 1.2 * s,
        lambda s, x: s + 0.2 / sigma * x["rotations"][..., 0],
    ):

        def shifted(state, time, wrong=wrong):
            slope = exact(state, time)
            return {**slope, "rotations": wrong(slope["rotations"], state)}

        excess = denoising_score_matching(shifted, PROCESS, clean, times, noise) - denoising_score_matching(
            exact, PROCESS, clean, times, noise
        )
        noised = {field: own.perturb(clean[field], times, noise[field]) for field, own in PROCESS.items()}
        both = (shifted(noised, times)["rotations"], exact(noised, times)["rotations"])
        expected = sigma**2 * (both[0] - both[1]).square().sum(-1).mean().item() / 6
        assert excess.mean().item() == pytest.approx(expected, abs=4 * excess.std().item() / 20_000**0.5)
        assert excess.mean().item() > 0


@pytest.mark.parametrize("time", [0.02, 0.5, 0.8, 1.0])
def test_weighted_loss_of_an_untrained_network_is_one(time):
    _, clean, times, noise = exact_and_draws(20_000, time)
    clean["positions"] = torch.randn(
        20_000, 1, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    score = preconditioned(lambda y, tau: {field: torch.zeros(20_000, 1, 3) for field in y}, PROCESS)
    parts = unit_variance_residuals(score, PROCESS, clean, times, noise)
    for part in parts.values():
        assert part.shape == (20_000, 1, 3)
        assert part.square().mean().item() == pytest.approx(1.0, abs=4 / 20_000**0.5)
    whole = unit_variance_matching(score, PROCESS, clean, times, noise)
    expected = torch.cat(list(parts.values()), dim=2).square().mean(dim=(1, 2))
    torch.testing.assert_close(whole, expected)
    alone = {"rotations": TURNS}
    args = (alone, {"rotations": clean["rotations"]}, times, {"rotations": noise["rotations"]})
    own = unit_variance_weight(alone, times) * denoising_score_matching(score, *args)
    torch.testing.assert_close(own, unit_variance_matching(score, *args))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_preconditioned_optimum_is_the_score_of_the_kernel(dtype):
    """F of a single orientation: the scores of draws at all times, of unit variance."""
    generator, times = torch.Generator().manual_seed(0), torch.linspace(0, 1, 2_000, dtype=dtype)
    clean = TURNS.prior(torch.zeros(2_000, 1, 3, 3, dtype=dtype), generator)
    noise = TURNS.noise(clean, generator)
    sigma = TURNS.sigma(times)[:, None]
    kernel = rotations.score(rotations.from_normal(noise, sigma), sigma)
    raw = kernel * (sigma / rotations.score_scale(sigma))[..., None]
    assert raw.square().mean().item() == pytest.approx(1.0, abs=4 / 3_000**0.5)
    product, state = {"rotations": TURNS}, {"rotations": TURNS.perturb(clean, times, noise)}
    found = preconditioned(lambda y, tau: {"rotations": raw}, product)(state, times)["rotations"]
    assert found.dtype == dtype
    torch.testing.assert_close(found, kernel, rtol=1e-5, atol=1e-6)


def rotation_network(state, time):
    """A score of many bodies that sees relative orientations and positions in the body's frame alone."""
    x, r = state["positions"], state["rotations"]
    shift = x.mean(dim=1, keepdim=True) - x
    local = torch.einsum("blji,blj->bli", r, shift)
    others = torch.einsum("blji,bmjk->blik", r, r) @ torch.linspace(-1, 1, 3, dtype=x.dtype)
    slope = {"positions": torch.einsum("blij,blj->bli", r, local.sin()), "rotations": others + local.cos()}
    return {f: slope[f] / (1 + PROCESS[f].sigma(time)[:, None, None]) ** 2 for f in slope}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_turn_with_the_start(sampler):
    """R_0 turned from the left, with the positions: noise of rotations is the body's own, that of positions has to be turned."""
    whole = rotations.exponential(torch.tensor([0.4, -1.0, 0.8], dtype=torch.float64))
    turned = VarianceExplodingTurned(0.02, 30.0, whole=whole)
    first, times = start(3, torch.Generator().manual_seed(0), bodies=4), sampling_times(PROCESS, 12)
    # At larger noise, under this made-up score, many steps at one level drive structures apart that differ by rounding.
    times = times[-6:] if sampler == "predictor_corrector" else times
    again = {"positions": first["positions"] @ whole.T, "rotations": whole @ first["rotations"]}
    generators = (torch.Generator().manual_seed(1), torch.Generator().manual_seed(1))
    x = SAMPLERS[sampler](rotation_network, PROCESS, first, times, generators[0])
    y = SAMPLERS[sampler](rotation_network, {**PROCESS, "positions": turned}, again, times, generators[1])
    torch.testing.assert_close(y["positions"], x["positions"] @ whole.T, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(y["rotations"], whole @ x["rotations"], rtol=0, atol=1e-8)
    assert (x["rotations"] @ x["rotations"].mT - torch.eye(3)).abs().max().item() < 1e-10


@dataclass(frozen=True)
class VarianceExplodingTurned(VarianceExploding):
    """With its noise turned as a whole."""

    whole: torch.Tensor | None = None

    def noise(self, like, generator):
        return super().noise(like, generator) @ self.whole.T


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_does_not_depend_on_the_batch(sampler):
    def draw(seeds):
        own = [torch.Generator().manual_seed(seed) for seed in seeds]
        first = start(len(seeds), own, bodies=4)
        return SAMPLERS[sampler](rotation_network, PROCESS, first, sampling_times(PROCESS, 12), own)

    seven, one = draw(range(40, 47)), draw([44])
    for field in PROCESS:
        torch.testing.assert_close(seven[field][4:5], one[field], rtol=0, atol=1e-10)
        assert (seven[field][3] - seven[field][4]).abs().max().item() > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_single_precision_stays_on_rotations(sampler):
    generator = torch.Generator().manual_seed(0)
    first = start(5, generator, bodies=3, dtype=torch.float32)
    x = SAMPLERS[sampler](rotation_network, PROCESS, first, sampling_times(PROCESS, 100), generator)
    assert x["rotations"].dtype == x["positions"].dtype == torch.float32
    assert (x["rotations"] @ x["rotations"].mT - torch.eye(3)).abs().max().item() < 1e-4


def test_steps_are_along_geodesics_and_never_the_long_way_round():
    generator = torch.Generator().manual_seed(0)
    first, second, third = (TURNS.prior(torch.zeros(50, 2, 3, 3).double(), generator) for _ in range(3))
    vector = TURNS.displacement(first, second)
    torch.testing.assert_close(TURNS.displaced(first, vector), second, rtol=0, atol=1e-10)
    torch.testing.assert_close(TURNS.displacement(second, first), -vector, rtol=0, atol=1e-7)
    part = TURNS.between(first, second, torch.tensor(0.3).double())
    torch.testing.assert_close(TURNS.displacement(first, part), 0.7 * vector, rtol=0, atol=1e-7)
    far = TURNS.extrapolated(first, second, third, torch.tensor(5.0).double())
    intended = vector + 5 * (vector - TURNS.displacement(first, third))
    assert ((intended * TURNS.displacement(first, far)).sum(-1) > 0).all()
    time = torch.ones(50).double()
    clean = TURNS.denoised(first, 100 * vector, time)
    assert ((vector * TURNS.displacement(first, clean)).sum(-1) > 0).all()


@pytest.mark.parametrize("sigmas", [(0.0, 1.0), (1.0, 0.5), (0.1, 5.0)])
def test_impossible_settings_are_refused(sigmas):
    with pytest.raises(ValueError, match=r"expected 0 < sigma_min < sigma_max <= 4\.0; got"):
        BrownianRotations(*sigmas)


def test_times_and_levels():
    assert isinstance(TURNS, Process)
    time = torch.linspace(0, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(TURNS.time(TURNS.noise_to_signal(time)), time)
    assert TURNS.sigma(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.02, 2.33])
    assert torch.equal(TURNS.drift(torch.eye(3).expand(2, 1, 3, 3), time[:2]), torch.zeros(2, 1, 3))


def test_a_reverse_step_gives_the_residual_of_the_equation_of_the_score():
    """On the exact score it falls as size^2; on one 5 % too large it is -0.02625 grad sum g^2 ||s||^2 / g^2, by differences."""
    data = two_poses(apart=0.5)
    exact, generator = data.score(PROCESS), torch.Generator().manual_seed(3)
    time = torch.tensor([0.55, 0.6, 0.65, 0.7], dtype=torch.float64)
    clean = data.draw(4, generator)
    state = {f: p.perturb(clean[f], time, p.noise(clean[f], generator)) for f, p in PROCESS.items()}

    def wrong(x, t):
        return {f: 1.05 * s for f, s in exact(x, t).items()}

    def estimate(score, size: float, copies: int = 4000) -> dict[str, torch.Tensor]:
        many = {f: x.repeat_interleave(copies, 0) for f, x in state.items()}
        step = ReverseStep(torch.Generator().manual_seed(0), size)
        found = reverse_step_residual(score, PROCESS, many, time.repeat_interleave(copies), step)
        return {f: x.unflatten(0, (4, copies)).mean(dim=1) for f, x in found.items()}

    def squares(x) -> torch.Tensor:
        slopes = exact(x, time)
        return sum(p.diffusion(time) ** 2 * slopes[f].square().sum((1, 2)) for f, p in PROCESS.items())

    for field, own in PROCESS.items():
        steps = 1e-5 * torch.eye(3, dtype=torch.float64)[:, None, None].expand(3, 4, 1, 3)
        ends = [
            [squares({**state, field: own.displaced(state[field], sign * v)}) for v in steps]
            for sign in (1, -1)
        ]
        gradient = (torch.stack(ends[0], dim=1) - torch.stack(ends[1], dim=1)) / 2e-5
        truth = -0.02625 * gradient / own.diffusion(time)[:, None] ** 2
        error = estimate(wrong, 0.05)[field][:, 0] - truth
        # What remains is noise of the estimate, and the finite step.
        assert error.square().mean().sqrt() < 0.1 * truth.square().mean().sqrt()
        coarse, fine = (estimate(exact, size)[field].square().mean().sqrt() for size in (0.8, 0.2))
        assert fine < 0.15 * coarse
