"""The 148 molecules of the G2/97 set as ase has them: geometries, and atomisation energies from measured enthalpies.

Curtiss, Raghavachari, Redfern, Pople, J. Chem. Phys. 106, 1063 (1997).

>>> found = molecules()
>>> len(found.names), tuple(found.positions.shape), [len(fold) for fold in found.folds]
(148, (148, 14, 3), [22, 21, 21, 21, 21])
>>> round(float(found.energies[found.names.index("H2O")]), 1)      # kcal/mol
232.6
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from catlearn.errors import MissingPackage

MOST, FOLDS, COMMON = 14, 5, 4


@dataclass(frozen=True)
class Molecules:
    """Padded to 14 atoms. ``counts``: atoms of each element, then the number of unpaired electrons."""

    names: tuple[str, ...]
    symbols: tuple[tuple[str, ...], ...]
    bonds: tuple[tuple[tuple[int, int], ...], ...]
    positions: torch.Tensor  # (148, 14, 3), in Å
    features: torch.Tensor  # (148, 14, 15): which element, scaled to mean square 1, and the covalent radius
    mask: torch.Tensor  # (148, 14)
    counts: torch.Tensor  # (148, 15)
    energies: torch.Tensor  # (148,), in kcal/mol
    folds: tuple[torch.Tensor, ...]  # indices, held out in turn

    def others(self, fold: torch.Tensor) -> torch.Tensor:
        """The indices of all molecules that are not in a fold."""
        return torch.tensor([i for i in range(len(self.names)) if i not in set(fold.tolist())])


@lru_cache(maxsize=1)
def molecules() -> Molecules:
    """All of them, and which are held out. Raises ``MissingPackage`` without ase."""
    try:
        from ase.build import molecule
        from ase.data import covalent_radii
        from ase.data.g2_1 import data as first
        from ase.data.g2_1 import molecule_names as simple
        from ase.data.g2_2 import data as second
        from ase.data.g2_2 import molecule_names as larger
    except ImportError as error:
        raise MissingPackage("ase", "the molecules of the G2 set", "examples") from error
    names, data = (*simple, *larger), {**second, **first}
    found = [molecule(name) for name in names]
    elements = sorted({symbol for atoms in found for symbol in atoms.symbols})
    positions, features = torch.zeros(len(found), MOST, 3), torch.zeros(len(found), MOST, len(elements) + 1)
    mask = torch.zeros(len(found), MOST)
    counts = torch.zeros(len(found), len(elements) + 1)
    for i, atoms in enumerate(found):
        positions[i, : len(atoms)] = torch.tensor(atoms.positions - atoms.positions.mean(0))
        mask[i, : len(atoms)] = 1
        for j, (symbol, number) in enumerate(zip(atoms.symbols, atoms.numbers, strict=True)):
            features[i, j, elements.index(symbol)] = len(elements) ** 0.5
            features[i, j, -1] = 2 * (float(covalent_radii[number]) - 0.6)
            counts[i, elements.index(symbol)] += 1
        counts[i, -1] = abs(sum(map(float, atoms.get_initial_magnetic_moments())))
    bonds = tuple(_bonds(atoms, covalent_radii) for atoms in found)
    symbols = tuple(tuple(atoms.symbols) for atoms in found)
    energies = torch.tensor([_atomisation(data, name, row) for name, row in zip(names, symbols, strict=True)])
    return Molecules(names, symbols, bonds, positions, features, mask, counts, energies, _folds(symbols, bonds))


def _atomisation(data: dict[str, Any], name: str, symbols: tuple[str, ...]) -> float:
    """The energy at rest of the atoms less that of the molecule: measured enthalpies less thermal corrections and zero-point energy."""
    whole = data[name]
    return sum(data[s]["enthalpy"] - data[s]["thermal correction"] for s in symbols) - (
        whole["enthalpy"] - whole["thermal correction"] - whole["ZPE"]
    )


def _bonds(atoms: Any, radii: Any) -> tuple[tuple[int, int], ...]:
    """Pairs of atoms at most 1.25 times the sum of their covalent radii apart."""
    distances, own = atoms.get_all_distances(), radii[atoms.numbers]
    return tuple((i, j) for j in range(len(atoms)) for i in range(j) if distances[i, j] < 1.25 * (own[i] + own[j]))


def _folds(symbols: tuple[tuple[str, ...], ...], bonds: tuple[tuple[tuple[int, int], ...], ...]) -> tuple[torch.Tensor, ...]:
    """A random partition of those molecules whose kinds of bonds (pairs of elements) each occur in at least four molecules of the set."""
    kinds = [{tuple(sorted((row[i], row[j]))) for i, j in pairs} for row, pairs in zip(symbols, bonds, strict=True)]
    occur = Counter(kind for own in kinds for kind in own)
    fair = [i for i, own in enumerate(kinds) if all(occur[kind] >= COMMON for kind in own)]
    random.Random(0).shuffle(fair)
    return tuple(torch.tensor(sorted(fair[start::FOLDS])) for start in range(FOLDS))
