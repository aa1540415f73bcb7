"""Several targets in one process: the same results as one by one, and nothing lost when one of them fails."""

import json
from pathlib import Path

import pytest

from dig_core.several import Named, run_each

SCRIPT = """
from pathlib import Path


def main(job):
    with open("ran.txt", "a") as ran:
        ran.write(job.wildcards.target)
    if Path("broken").exists() and job.wildcards.target == Path("broken").read_text():
        raise ValueError("expected a molecule; got none. Write one")
    text = Path(job.input.source).read_text() + job.params["setting"] + str(len(job.input)) + str(job.input.get("none"))
    Path(job.output.result).write_text(text)
    print("said by", job.wildcards.target)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "draw.py").write_text(SCRIPT)
    for target in "abc":
        (tmp_path / f"{target}.txt").write_text(target)
    return tmp_path


def jobs(setting: str = "!") -> list[dict]:
    return [
        {
            "script": "draw", "wildcards": {"target": target}, "input": {"source": f"{target}.txt", "more": ["x", "y"]},
            "output": {"result": f"{target}.result"}, "params": {"setting": setting}, "log": f"logs/{target}.log",
        }
        for target in "abc"
    ]  # fmt: skip


def results(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("[a-c].result"))]


def test_every_target_has_its_result_and_its_log(folder):
    run_each(folder, jobs())
    assert results(folder) == ["a!3None", "b!3None", "c!3None"]
    assert "said by b" in (folder / "logs/b.log").read_text()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_target_that_fails_is_told_in_one_line_and_the_others_are_not_made_again(folder):
    (folder / "broken").write_text("b")
    with pytest.raises(
        ValueError, match=r"^1 of 3 targets failed, the others wait for the next run; b: expected a mol"
    ):
        run_each(folder, jobs())
    assert results(folder) == [], "Snakemake sees all or nothing"
    assert "expected a molecule" in (folder / "logs/b.log").read_text()
    (folder / "broken").unlink()
    run_each(folder, jobs())
    assert len(results(folder)) == 3 and (folder / "ran.txt").read_text() == "abcb"


def test_what_waits_is_not_used_with_other_settings_or_inputs(folder):
    (folder / "broken").write_text("c")
    with pytest.raises(ValueError, match="1 of 3 targets failed"):
        run_each(folder, jobs())
    (folder / "broken").unlink()
    (folder / "a.txt").write_text("other")
    run_each(folder, jobs())
    assert results(folder)[0] == "other!3None" and (folder / "ran.txt").read_text() == "abcac"
    (folder / "broken").write_text("c")
    with pytest.raises(ValueError, match="1 of 3 targets failed"):
        run_each(folder, jobs("?"))
    (folder / "broken").unlink()
    run_each(folder, jobs("!"))
    assert results(folder)[1] == "b!3None"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")], "nothing outdated is left"


def test_values_are_seen_as_snakemake_shows_them():
    values = Named({"one": "a", "more": ["b", "c"], "none": []})
    assert list(values) == ["a", "b", "c"] and values.more == ["b", "c"] and values["one"] == values[0] == "a"
    assert not values.none and dict(values.items()) == {"one": "a", "more": ["b", "c"], "none": []}
    with pytest.raises(AttributeError):
        _ = values.absent
    assert json.loads(json.dumps(values)) == ["a", "b", "c"]
