"""Every unit of the project and every conversion between units.

Inside the library: lengths in Angstrom, energies in kJ/mol, temperatures in kelvin, times in ps, angles in radians.
Free energies of landscapes are reported in kcal/mol, the unit of the field.
"""

ANGSTROM_PER_NM = 10.0
KJ_PER_KCAL = 4.184
PS_PER_NS = 1000.0
PS_PER_FS = 1e-3

# CODATA 2018: R = N_A k_B = 8.314462618 J / (mol K).
GAS_CONSTANT_KJ_PER_MOL_K = 8.314462618e-3
# CODATA 2018: N_A e = 6.02214076e23 / mol x 1.602176634e-19 J/eV, exact by definition.
KJ_PER_MOL_PER_EV = 96.48533212331


def thermal_energy_kj_per_mol(temperature_K: float) -> float:
    """kT in kJ/mol at a temperature in kelvin."""
    return GAS_CONSTANT_KJ_PER_MOL_K * temperature_K


def thermal_energy_eV(temperature_K: float) -> float:
    """kT in eV at a temperature in kelvin."""
    return thermal_energy_kj_per_mol(temperature_K) / KJ_PER_MOL_PER_EV


def thermal_energy_kcal_per_mol(temperature_K: float) -> float:
    """kT in kcal/mol at a temperature in kelvin."""
    return thermal_energy_kj_per_mol(temperature_K) / KJ_PER_KCAL
