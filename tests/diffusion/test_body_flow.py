"""Latent states of poses against closed forms and another integrator; paths between poses against the family that the score knows."""

import math

import numpy as np
import pytest
import torch
from exact import FIELD, PoseMixture, as_process, gaussian, two_poses
from scipy.integrate import solve_ivp
from test_brownian_rotations import PROCESS, rotation_network, start

from dig_core import rotations
from dig_core.diffusion.body_flow import (
    decode_bodies,
    encode_bodies,
    interpolate_bodies,
    joined,
    path_of_bodies,
    up_to,
)
from dig_core.diffusion.brownian_rotations import BrownianRotations
from dig_core.diffusion.interpolation import LatentPath, encode
from dig_core.diffusion.processes import VarianceExploding, mean_free

TURN = rotations.exponential(torch.tensor([0.4, -1.0, 0.8], dtype=torch.float64))


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def one_pose(spread: float, width: float) -> PoseMixture:
    two = two_poses()
    return PoseMixture(row(1.0), two.positions[:1], two.rotations[:1], row(spread), row(width))


def apart(found: dict, expected: dict) -> tuple[float, float]:
    """Largest difference of positions, and largest angle between rotations."""
    shift = (found["positions"] - expected["positions"]).abs().max().item()
    return shift, rotations.angle_between(found["rotations"], expected["rotations"]).max().item()


@pytest.mark.parametrize("largest_noise", [None, 1.0])
def test_latent_states_of_a_pose_follow_their_closed_form(largest_noise):
    """Positions grow as sqrt(spread^2 + tau^2); turns keep the share of smaller ones, so that both ends come from one normal vector."""
    spread, width, count = 0.15, 0.2, 20
    data, process = one_pose(spread, width), up_to(PROCESS, largest_noise)
    normal = torch.randn(2, count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def state(time: float) -> dict[str, torch.Tensor]:
        sigmas = [float(own.sigma(row(time))) for own in process.values()]
        turned = torch.full((count,), math.hypot(width, sigmas[1]), dtype=torch.float64)
        positions = data.positions + math.hypot(spread, sigmas[0]) * normal[0]
        turns = rotations.exponential(rotations.from_normal(normal[1], turned))
        return {"positions": positions[:, None], "rotations": (data.rotations @ turns)[:, None]}

    ends = [state(time) for time in (0.0, process["positions"].maximal_time)]
    largest = process["positions"].sigma(row(process["positions"].maximal_time)).item()
    assert largest == pytest.approx(largest_noise or 30.0)
    shift, angle = apart(encode_bodies(data.score(process), process, ends[0], 1e-6), ends[1])
    assert shift < 1e-5 * largest and angle < 2e-4
    shift, angle = apart(decode_bodies(data.score(process), process, ends[1], 1e-6), ends[0])
    assert shift < 1e-5 and angle < 2e-4


def test_decoding_returns_what_was_encoded():
    data = two_poses()
    score, state = data.score(PROCESS), data.draw(30, torch.Generator().manual_seed(0))
    for tolerance in (1e-4, 1e-6):
        latent = encode_bodies(score, PROCESS, state, tolerance)
        assert max(apart(decode_bodies(score, PROCESS, latent, tolerance), state)) < 20 * tolerance
    assert min(apart(latent, state)) > 0.5


def test_latent_states_of_many_poses_are_those_of_the_prior():
    """Positions normal, orientations uniform: the mean of |w| is pi/2 + 2/pi, the mean matrix 0."""
    data, count = two_poses(), 1000
    state = data.draw(count, torch.Generator().manual_seed(1))
    latent = encode_bodies(data.score(PROCESS), PROCESS, state, 1e-3)
    normal, turned = latent["positions"][:, 0] / 30.0, latent["rotations"][:, 0]
    assert normal.mean(dim=0).abs().max().item() < 4 / count**0.5
    assert (torch.cov(normal.T) - torch.eye(3)).abs().max().item() < 5 * (2 / count) ** 0.5
    assert turned.mean(dim=0).abs().max().item() < 4 / (3 * count) ** 0.5 + 0.02
    angles = rotations.logarithm(turned).norm(dim=-1)
    assert angles.mean().item() == pytest.approx(math.pi / 2 + 2 / math.pi, abs=4 * 0.65 / count**0.5)


def flowed(score, process: dict, state: dict, ends: tuple[float, float]) -> dict[str, torch.Tensor]:
    """One pose carried along dx/dt = -g^2 score/2 and dR/dt = R [that of rotations] from one time to another, by another method."""

    def slope(time: float, numbers: np.ndarray) -> np.ndarray:
        x = torch.as_tensor(numbers)
        now = {"positions": x[:3].reshape(1, 1, 3), "rotations": x[3:].reshape(1, 1, 3, 3)}
        found = score(now, row(time))
        half = {f: (-0.5 * process[f].diffusion(row(time)) ** 2 * found[f]).flatten() for f in process}
        a, b, c = half["rotations"].tolist()
        skew = torch.tensor([[0.0, -c, b], [c, 0.0, -a], [-b, a, 0.0]], dtype=torch.float64)
        return torch.cat([half["positions"], (now["rotations"][0, 0] @ skew).flatten()]).numpy()

    first = torch.cat([state["positions"].flatten(), state["rotations"].flatten()]).numpy()
    last = torch.as_tensor(solve_ivp(slope, ends, first, "DOP853", rtol=1e-8, atol=1e-8).y[:, -1])
    return {"positions": last[:3].reshape(1, 1, 3), "rotations": last[3:].reshape(1, 1, 3, 3)}


@pytest.mark.parametrize("kind", ["linear", "slerp"])
def test_the_middle_of_a_path_is_where_the_exact_flow_says(kind):
    data = two_poses(1.0, 0.5)
    process = up_to(PROCESS, 2.0)
    score, last = data.score(process), process["positions"].maximal_time
    ends = [{"positions": data.positions[[k], None], "rotations": data.rotations[[k], None]} for k in (0, 1)]
    found = interpolate_bodies(score, process, *ends, LatentPath(5, kind, 1e-6))
    assert {f: x.shape for f, x in found.items()} == {"positions": (5, 1, 1, 3), "rotations": (5, 1, 1, 3, 3)}
    for place, end in ((0, ends[0]), (-1, ends[1])):
        assert max(apart({f: x[place] for f, x in found.items()}, end)) < 1e-4
    latents = [flowed(score, process, end, (0.0, last)) for end in ends]
    middle = {f: x[0] for f, x in joined(process, *latents, row(0.5), kind).items()}
    expected = flowed(score, process, middle, (last, 0.0))
    assert max(apart({f: x[2] for f, x in found.items()}, expected)) < 1e-4
    assert min(max(apart({f: x[2] for f, x in found.items()}, end)) for end in ends) > 0.05


def test_the_path_turns_with_its_ends():
    product = {"positions": VarianceExploding(0.1, 5.0, projection=mean_free), "rotations": PROCESS["rotations"]}  # fmt: skip
    drawn = start(4, torch.Generator().manual_seed(0), bodies=3)
    drawn["positions"] = mean_free(drawn["positions"]) / 30.0
    turned = {"positions": drawn["positions"] @ TURN.T, "rotations": TURN @ drawn["rotations"]}
    paths = [
        interpolate_bodies(rotation_network, product, *({f: x[rows] for f, x in own.items()} for rows in (slice(2), slice(2, 4))), LatentPath(4))
        for own in (drawn, turned)
    ]  # fmt: skip
    again = {"positions": paths[0]["positions"] @ TURN.T, "rotations": TURN @ paths[0]["rotations"]}
    assert max(apart(paths[1], again)) < 1e-6
    assert paths[0]["positions"].mean(dim=2).abs().max().item() < 1e-9


def on_an_arc(shares: torch.Tensor) -> dict[str, torch.Tensor]:
    """Poses at shares of an arc of 2.4 radians and of radius 1 whose third axis points along it."""
    angle, zero = 2.4 * (shares - 0.5), torch.zeros_like(shares)
    positions = torch.stack([angle.cos(), angle.sin(), zero], dim=-1)
    return {"positions": positions, "rotations": rotations.exponential(torch.stack([zero, zero, angle], -1))}


def test_a_path_follows_a_curved_family_that_the_straight_one_leaves():
    """The middle of the straight path is 0.43 away from the arc; widths of the family are 0.08."""
    known = on_an_arc(torch.linspace(0, 1, 41).double())
    widths = torch.full((41,), 0.08, dtype=torch.float64)
    data = PoseMixture(torch.full_like(widths, 1 / 41), known["positions"], known["rotations"], widths, widths)  # fmt: skip
    ends = [{f: x[None] for f, x in on_an_arc(row(share)).items()} for share in (0.1, 0.9)]
    bent = interpolate_bodies(data.score(PROCESS), up_to(PROCESS, 1.0), *ends, LatentPath(11, "linear", 1e-4))
    straight = joined(PROCESS, *ends, torch.linspace(0, 1, 11).double(), "linear")

    def away(along: dict[str, torch.Tensor]) -> tuple[float, float]:
        """The farthest from the pose of the family that is nearest in position, in position and in orientation."""
        separation = (along["positions"][:, 0, 0, None] - known["positions"]).norm(dim=-1)
        shift, pose = separation.min(dim=1)
        turns = rotations.angle_between(along["rotations"][:, 0, 0], known["rotations"][pose])
        return shift.max().item(), turns.max().item()

    assert away(bent)[0] < 0.12 * away(straight)[0] and away(bent)[1] < 0.06
    steps = bent["positions"][:, 0, 0].diff(dim=0).norm(dim=1)
    assert steps.max().item() < 1.5 * steps.mean().item()


def test_shares_are_decoded_by_one_map():
    data = two_poses()
    ends = [{f: x[rows] for f, x in data.draw(4, torch.Generator().manual_seed(2)).items()} for rows in (slice(2), slice(2, 4))]  # fmt: skip
    path = path_of_bodies(data.score(PROCESS), PROCESS, *ends, LatentPath(5, "slerp", 1e-3))
    whole, single = path(row(0.0, 0.3, 0.8)), path(row(0.3 + 1e-9))
    assert max(apart({f: x[1:2] for f, x in whole.items()}, single)) < 1e-6


def test_fields_without_rotations_have_the_latent_states_they_have_elsewhere():
    data, product = gaussian(), {FIELD: as_process("linear")}
    state = {FIELD: data.draw(5, torch.Generator().manual_seed(0))}
    found, expected = (code(data.score(product[FIELD]), product, state, 1e-6)[FIELD] for code in (encode_bodies, encode))  # fmt: skip
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_impossible_calls_are_refused():
    data = two_poses()
    state = data.draw(2, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"above the smallest noise, 0\.02; got 0\.01"):
        up_to(PROCESS, 0.01)
    assert up_to(PROCESS, 99.0) == PROCESS == up_to(PROCESS, None)
    with pytest.raises(ValueError, match="expected as many ends as starts"):
        single = {f: x[:1] for f, x in state.items()}
        interpolate_bodies(data.score(PROCESS), PROCESS, state, single, LatentPath())
    free = {"positions": VarianceExploding(0.1, 5.0, projection=mean_free), "rotations": BrownianRotations()}
    with pytest.raises(ValueError, match="expected positions in the subspace of their process"):
        decode_bodies(data.score(free), free, state)
