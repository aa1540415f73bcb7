"""Figure 2b: it shows what its table says, a gap is not drawn over, and the title tells what the network knew."""

import subprocess
import sys

import numpy as np
import pandas
import pytest

from dig_core.plotting import write
from dig_core.plotting_states import pieces, seen, states_figure, training_of
from tests.backbones_for_tests import HELIX, STRAND, built
from tests.test_plotting import texts


def arrays(trained: bool = True, states: int = 2, samples: int = 50) -> dict[str, np.ndarray]:
    """What an evaluation leaves of a chain of twelve residues without the sixth."""
    known = [built([torsions] * 12).alpha[0] for torsions in (HELIX, STRAND, (-70.0, 150.0))[:states]]
    alphas = np.delete(np.stack(known), 5, axis=1)
    random = np.random.default_rng(0)
    return {
        "state_names": np.array(["closed", "open", "twisted"][:states]),
        "state_alphas_angstrom": alphas,
        "nearest_sample": np.arange(states),
        "nearest_alphas_angstrom": alphas + random.normal(0.0, 0.3, alphas.shape),
        "residue_indices": np.delete(np.arange(1, 13), 5),
        "chain_indices": np.zeros(11, dtype=int),
        "samples.rmsd_angstrom": random.gamma(2.0, 1.0, (states, samples)),
        "baseline.rmsd_angstrom": random.normal(1.0, 0.1, (states, samples)),
        "within_angstrom": np.array(1.5),
        "trained": np.array(trained),
    }


def test_figure_shows_what_its_table_says(tmp_path):
    figure, table = states_figure({"one": arrays(), "two": arrays(trained=False)})
    counts = table.groupby(["panel", "item", "series"]).size()
    assert counts["one", "trace", "known"] == counts["two", "trace", "samples"] == 22
    assert counts["one", "rmsd", "samples"] == counts["two", "rmsd", "baseline"] == 100
    told = [text.get_text() for text in texts(figure)]
    assert "one, trained on both states" in told and "two, held out" in told
    nearest = arrays()["samples.rmsd_angstrom"][1].min()
    assert told.count(f"open\nnearest sample: {nearest:.2f} Å") == 2 and "CA-RMSD (Å)" in told
    assert set(table.loc[table["panel"] == "two", "training"]) == {"held out"}
    for suffix in ("png", "pdf", "parquet"):
        write(tmp_path / f"states.{suffix}", figure, table)
        assert (tmp_path / f"states.{suffix}").stat().st_size > 1000
    assert len(pandas.read_parquet(tmp_path / "states.parquet")) == len(table)


def test_proteins_may_have_different_numbers_of_states():
    figure, _ = states_figure({"one": arrays(states=3), "two": arrays()})
    assert len(figure.axes) == 8 and training_of(arrays(states=3)) == "trained on all three states"


def test_traces_are_only_turned_and_moved():
    own = arrays()
    for name, traces in (("state", seen(own)["known"]), ("nearest", seen(own)["samples"])):
        before = own[f"{name}_alphas_angstrom"]
        lengths = [np.linalg.norm(x[:, 1:] - x[:, :1], axis=-1) for x in (before, traces)]
        assert lengths[0] == pytest.approx(lengths[1])
        volume = [np.linalg.det(x[0, 1:4] - x[0, 0]) for x in (before, traces)]
        assert volume[0] == pytest.approx(volume[1]), "no mirror image"
    moves = seen(own)["known"][1] - seen(own)["known"][0]
    assert (moves**2).sum(axis=0).argmax() == 0


def test_a_gap_is_not_drawn_over():
    own = arrays()
    assert [len(piece) for piece in pieces(own["state_alphas_angstrom"][0], own)] == [5, 6]


def test_a_sample_that_is_not_finite_is_left_out():
    own = arrays()
    own["samples.rmsd_angstrom"][:, 3] = np.nan
    assert states_figure({"one": own})[1]["rmsd_angstrom"].isna().sum() >= 2


def test_it_loads_without_torch():
    code = "import sys; import dig_core.plotting_states; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
