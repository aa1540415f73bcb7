"""Drawing in batches: one stream per structure, memory that runs out, bad requests. The score is exact (a Gaussian)."""

import numpy as np
import pytest
import torch

from dig_core.diffusion.processes import VarianceExploding, mean_free
from dig_core.sampling import Draw, draw, draw_until_valid, gathered, generators

PROCESS = {"positions": VarianceExploding(0.01, 10.0, projection=mean_free)}
SHAPE = {"positions": (4, 3)}


def score(state, time):
    """Data N(0, 1) on the mean-free subspace: x_t has variance 1 + sigma^2."""
    variance = 1 + PROCESS["positions"].sigma(time) ** 2
    return {"positions": -state["positions"] / variance[:, None, None]}


def request(**changes) -> Draw:
    return Draw(
        **{"kind": "sde_dpm_solver", "steps": 8, "samples": 20, "batch_size": 5, "seed": 1, "shape": SHAPE}
        | changes
    )


def test_structures_do_not_depend_on_the_batch_size():
    small = draw(score, PROCESS, request(batch_size=3))["positions"]
    large = draw(score, PROCESS, request(batch_size=20))["positions"]
    torch.testing.assert_close(small, large, atol=1e-5, rtol=0)
    assert len(torch.unique(small[:, 0, 0])) == 20


def test_same_borders_give_the_same_bits_and_more_samples_the_same_beginning():
    few, many = (draw(score, PROCESS, request(samples=n))["positions"] for n in (10, 20))
    assert torch.equal(few, many[:10])
    assert not torch.equal(few, draw(score, PROCESS, request(samples=10, seed=2))["positions"])


def test_correctors_are_those_of_their_solver_alone():
    def asked(**changes):
        calls = []
        draw(lambda x, t: calls.append(t) or score(x, t), PROCESS, request(samples=5, **changes))
        return len(calls)

    assert asked(kind="predictor_corrector") == 1 + 7 * 5
    assert asked(kind="predictor_corrector", correctors=10) == 1 + 7 * 11
    assert asked(correctors=10) == 8


@pytest.mark.parametrize(("samples", "shards"), [(20, 1), (23, 2), (23, 5), (100, 7)])
def test_shards_together_are_the_whole_bit_by_bit(samples, shards):
    whole = draw(score, PROCESS, request(samples=samples))["positions"]
    parts = [
        draw(score, PROCESS, request(samples=samples, part=(k, shards)))["positions"] for k in range(shards)
    ]
    assert min(map(len, parts)) > 0 and max(map(len, parts)) - min(map(len, parts)) <= 5
    assert torch.equal(torch.cat(parts), whole)


def test_gathered_shards_are_in_order_and_must_be_whole():
    shards = [
        {
            "positions_angstrom": np.full((n, 2, 3), n),
            "valid": np.full(n, n > 2),
            "seconds_sample": np.array(1.5),
        }
        for n in (3, 2)
    ]
    joined = gathered(shards, 5)
    assert joined["positions_angstrom"][:, 0, 0].tolist() == [3, 3, 3, 2, 2]
    assert joined["valid"].tolist() == [True] * 3 + [False] * 2 and joined["seconds_sample"] == 3.0
    with pytest.raises(ValueError, match="expected 6 samples in 2 shards; got 5"):
        gathered(shards, 6)


def test_streams_of_neighbouring_seeds_do_not_overlap():
    first, second = ({g.initial_seed() for g in generators(seed, range(10_000))} for seed in (1, 2))
    assert len(first) == 10_000
    assert not first & second


def test_batch_is_halved_when_memory_runs_out(capsys):
    seen = []

    def hungry(state, time):
        seen.append(len(time))
        if len(time) > 3:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return score(state, time)

    got = draw(hungry, PROCESS, request(batch_size=16))["positions"]
    torch.testing.assert_close(
        got, draw(score, PROCESS, request(batch_size=2))["positions"], atol=1e-5, rtol=0
    )
    assert sorted(set(seen), reverse=True) == [16, 8, 4, 2]
    assert "batches of 2 structures" in capsys.readouterr().out


def test_memory_for_not_even_one_structure_is_told():
    def starved(state, time):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryError, match="expected memory for one structure"):
        draw(starved, PROCESS, request())


def test_other_errors_are_not_taken_for_memory():
    def broken(state, time):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        draw(broken, PROCESS, request())


def test_until_valid_returns_exactly_that_many():
    state, valid = draw_until_valid(
        score, PROCESS, request(), lambda s: (s["positions"][:, 0, 0] > 0).numpy()
    )
    assert valid.sum() == 20
    assert valid[-1]
    assert len(state["positions"]) == len(valid)
    torch.testing.assert_close(state["positions"][:20], draw(score, PROCESS, request())["positions"])


def test_until_valid_gives_up_in_words():
    with pytest.raises(ValueError, match=r"expected 20 valid structures; got 0 of 200 drawn"):
        draw_until_valid(score, PROCESS, request(), lambda s: np.zeros(len(s["positions"]), dtype=bool))


@pytest.mark.parametrize("bad", [{"samples": 0}, {"batch_size": 0}, {"kind": "euler"}])
def test_bad_requests_are_told(bad):
    with pytest.raises(ValueError, match="expected"):
        request(**bad)


def test_nan_structures_are_not_returned():
    with pytest.raises(ValueError, match="expected finite structures; got NaN"):
        draw(lambda state, time: {"positions": state["positions"] * torch.nan}, PROCESS, request())
