"""Random diagrams of the five kinds, from a seed."""

from __future__ import annotations

import random

from catlearn.diagrams import Brauer, Determinant, Diagram, Jellyfish, Partition, Symplectic

SIZES = {"S": (1, 2, 3), "A": (2, 3, 4), "O": (1, 2, 3), "SO": (1, 2, 3, 4), "Sp": (2, 4)}


def random_blocks(draw: random.Random, points: list[int]) -> list[list[int]]:
    blocks: list[list[int]] = []
    for point in points:
        i = draw.randrange(len(blocks) + 1)
        if i == len(blocks):
            blocks.append([])
        blocks[i].append(point)
    return blocks


def random_diagram(draw: random.Random, group: str, n: int, k: int, l: int) -> Diagram | None:
    """A diagram k → l, with a coupon about half of the time where there may be one; None if there is none of this parity."""
    points = list(range(k + l))
    draw.shuffle(points)
    match group:
        case "S":
            return Partition(k, l, random_blocks(draw, points))
        case "A":
            blocks = random_blocks(draw, points)
            counts = [count for count in (n - 1, n) if 0 < count <= len(blocks)] if n > 1 else []
            count = draw.choice(counts) if counts and draw.random() < 0.7 else 0
            return Jellyfish(k, l, blocks[:count], blocks[count:], n)
    free = n if group == "SO" and len(points) >= n and ((len(points) - n) % 2 == 0) and (len(points) % 2 or draw.random() < 0.7) else 0
    if (len(points) - free) % 2:
        return None
    pairs = list(zip(points[free::2], points[free + 1 :: 2], strict=True))
    match group:
        case "O":
            return Brauer(k, l, pairs)
        case "Sp":
            return Symplectic(k, l, pairs)
    return Determinant(k, l, points[:free], pairs, n)


def random_pair(draw: random.Random, group: str, n: int, most: int = 3, composable: bool = True) -> tuple[Diagram, Diagram]:
    """Two diagrams, the second after the first if ``composable``."""
    while True:
        k, middle, l, other = (draw.randrange(most + 1) for _ in range(4))
        d = random_diagram(draw, group, n, k, middle)
        e = random_diagram(draw, group, n, middle if composable else other, l)
        if d is not None and e is not None:
            return d, e
