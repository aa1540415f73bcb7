"""Residues as files name them, and their one-letter codes."""

from pdbfixer.pdbfixer import substitutions

from dig_core.data.molecules import RESIDUES

ORDER = "ARNDCQEGHILKMFPSTWYV"  # residue types in the order of AlphaFold
RESIDUE_OF_LETTER = {letter: name for name, letter in RESIDUES.items()}
CAPS = {"ACE", "FOR", "NME", "NMA", "NH2", "NHE"}
# Protonation states and bonds by the names of AMBER, CHARMM and GROMACS.
VARIANTS = {
    "HID": "HIS", "HIE": "HIS", "HIP": "HIS", "HSD": "HIS", "HSE": "HIS", "HSP": "HIS", "HISA": "HIS", "HISB": "HIS",
    "HISD": "HIS", "HISE": "HIS", "HISH": "HIS", "CYX": "CYS", "CYM": "CYS", "CYS2": "CYS", "CYSH": "CYS", "ASH": "ASP",
    "ASPH": "ASP", "ASPP": "ASP", "GLH": "GLU", "GLUH": "GLU", "GLUP": "GLU", "LYN": "LYS", "LSN": "LYS", "LYSH": "LYS",
}  # fmt: skip


def standard_name(name: str) -> str:
    """The one of the twenty residues that a name stands for: HSD and HIP are HIS, MSE is MET (PDBFixer's table); others as they are."""
    name = VARIANTS.get(name, name)
    return name if name in RESIDUES else substitutions.get(name, name)


def letter(name: str) -> str:
    """One-letter code of a residue; X for what is none of the twenty."""
    return RESIDUES.get(standard_name(name), "X")
