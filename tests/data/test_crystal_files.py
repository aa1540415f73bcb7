"""Files of crystals: what is read, and one line for what is not."""

import numpy as np
import pytest

from dig_core.crystals import Crystals
from dig_core.data.carbon_phases import phase
from dig_core.data.crystal_files import read_crystals, rows, write_extxyz

DIAMOND, GRAPHITE = phase("diamond"), phase("graphite_ab")


def table(path, rows: list[str], column: str = "cif") -> None:
    lines = [f"id,{column}", *(f'{number},"{text}"' for number, text in enumerate(rows))]
    path.write_text("\n".join(lines))


def test_files_and_rows_of_tables_are_read_in_order(tmp_path):
    for name, crystal, form in (
        ("a.cif", DIAMOND, "cif"),
        ("b.json", GRAPHITE, "json"),
        ("POSCAR_c", DIAMOND, "poscar"),
    ):
        (tmp_path / name).write_text(crystal.to(fmt=form))
    table(tmp_path / "d.csv", [own.to(fmt="cif").replace('"', "'") for own in (GRAPHITE, DIAMOND)])
    found = read_crystals([tmp_path / name for name in ("a.cif", "b.json", "POSCAR_c", "d.csv")], ["C"])
    assert [len(own) for own in found] == [2, 4, 2, 4, 2]
    assert found[1].volume == pytest.approx(GRAPHITE.volume)


def test_what_is_no_crystal_is_told_in_one_line(tmp_path):
    (tmp_path / "a.pdb").write_text("ATOM")
    table(tmp_path / "b.csv", ["x"], column="structure")
    table(tmp_path / "c.csv", [DIAMOND.to(fmt="cif").replace('"', "'"), "no crystal"])
    (tmp_path / "d.cif").write_text(DIAMOND.to(fmt="cif"))
    for name, elements, told in (
        ("a.pdb", ["C"], "a.pdb. Convert it"),
        ("b.csv", ["C"], "a column 'cif'"),
        ("c.csv", ["C"], "c.csv, row 2"),
        ("d.cif", ["Si"], "got C"),
    ):
        with pytest.raises(ValueError, match="expected") as refusal:
            read_crystals([tmp_path / name], elements)
        assert told in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_broken_write_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "samples.extxyz"
    write_extxyz(file, Crystals.of([DIAMOND]))
    before = file.read_bytes()
    monkeypatch.setattr("ase.io.write", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_extxyz(file, Crystals.of([GRAPHITE]))
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]
    assert np.frombuffer(before, np.uint8).size > 100


def test_series_of_crystals_are_read_with_what_stands_beside_them(tmp_path):
    """What `write_extxyz` wrote; another program's keys of the comment line are properties, as the columns of a table are."""
    write_extxyz(tmp_path / "a.extxyz", Crystals.of([DIAMOND, GRAPHITE]))
    found = read_crystals([tmp_path / "a.extxyz"], ["C"])
    assert [len(own) for own in found] == [2, 4]
    assert found[0].volume == pytest.approx(DIAMOND.volume) and found[1].matches(GRAPHITE)
    text = (tmp_path / "a.extxyz").read_text().replace("Properties=", "band_gap_eV=4.2 Properties=", 1)
    (tmp_path / "b.xyz").write_text(text)
    gaps = [own.properties.get("band_gap_eV") for own in read_crystals([tmp_path / "b.xyz"], ["C"])]
    assert gaps == [4.2, None]
    assert rows([tmp_path / "a.extxyz", "c.cif"])["file"].tolist() == [str(tmp_path / "a.extxyz")] * 2 + [
        "c.cif"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1\nProperties=species:S:1:pos:R:3\nC 0 0 0\n", "expected a cell of every crystal in .*; got none"),
        (
            '1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nSi 0 0 0\n',
            "expected C in .*, crystal 1; got Si",
        ),
    ],
)
def test_a_series_without_cells_or_of_other_elements_is_told_in_one_line(tmp_path, text, told):
    (tmp_path / "a.xyz").write_text(text)
    with pytest.raises(ValueError, match=told) as caught:
        read_crystals([tmp_path / "a.xyz"], ["C"])
    assert "\n" not in str(caught.value)
