"""Metrics of a study held against what is expected of it, from files."""

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]


def verify(study: str, folder: Path, expected: Path) -> int:
    spec = importlib.util.spec_from_file_location("verify", ROOT / "workflow_scripts/verify.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(study, folder, expected)


def write(path: Path, values: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def test_a_target_is_held_against_another_one(tmp_path, capsys):
    stated = {
        "valid": {"min": 0.5},
        "targets": {"asked": {"share": {"min_over": "free.share", "share": 3.0}}},
    }
    write(tmp_path / "expected/mine.json", stated)
    write(tmp_path / "results/mine/free/metrics.json", {"share": 0.2, "valid": 0.6})
    for share, failed in ((0.7, 0), (0.5, 1)):
        write(tmp_path / "results/mine/asked/metrics.json", {"share": share, "valid": 0.9})
        assert verify("mine", tmp_path / "results", tmp_path / "expected") == failed
        said = capsys.readouterr().out
        assert f"share: {share}, expected at least 0.6" in said and f"{3 - failed} of 3 as expected" in said


def test_missing_files_are_told(tmp_path, capsys):
    assert verify("mine", tmp_path / "results", tmp_path / "expected") == 1
    assert "expected the file" in capsys.readouterr().err
    write(tmp_path / "expected/mine.json", {})
    assert verify("mine", tmp_path / "results", tmp_path / "expected") == 1
    assert "expected metrics in" in capsys.readouterr().err


def test_the_expectations_of_all_studies_are_of_known_forms_and_studies():
    from dig_core.evaluation.expectations import of_target, verdicts

    files = sorted((ROOT / "tests/expected").glob("*.json"))
    assert len(files) > 6
    for file in files:
        assert (ROOT / f"config/systems/{file.stem}.yaml").is_file()
        stated = json.loads(file.read_text())
        for target in ("", *stated.get("targets", {})):
            verdicts({}, of_target(stated, target))
