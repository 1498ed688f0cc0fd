"""The handwritten digits of scikit-learn: 1,797 images of 8 × 8 pixels, split once and for all.

>>> data = digits()
>>> [len(part.labels) for part in (data.train, data.validation, data.test)]
[1293, 144, 360]
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from catlearn.errors import MissingPackage


class Part(NamedTuple):
    """Images (n, 1, 8, 8) with entries from 0 to 1, and their labels (n,)."""

    images: torch.Tensor
    labels: torch.Tensor


class Digits(NamedTuple):
    """Three disjoint parts, each with every digit in the same proportion."""

    train: Part
    validation: Part
    test: Part


def digits(seed: int = 0) -> Digits:
    """Load and split; the same split for the same seed on every machine. Raises ``MissingPackage`` without scikit-learn."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise MissingPackage("scikit-learn", "the handwritten digits", "examples") from error
    pixels, labels = load_digits(return_X_y=True)
    rest, test = train_test_split(range(len(labels)), test_size=360, stratify=labels, random_state=seed)
    train, validation = train_test_split(rest, test_size=144, stratify=labels[rest], random_state=seed)
    images = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    known = torch.tensor(labels)
    return Digits(*(Part(images[part], known[part]) for part in (train, validation, test)))


def with_shifts(part: Part) -> Part:
    """The images and their shifts by one pixel up, down, left and right: five times as many, with the same labels.

    >>> one = Part(torch.eye(8).reshape(1, 1, 8, 8), torch.tensor([3]))
    >>> more = with_shifts(one)
    >>> more.images.shape, more.labels.tolist(), bool((more.images[1] == torch.diag(torch.ones(7), -1)).all())
    (torch.Size([5, 1, 8, 8]), [3, 3, 3, 3, 3], True)
    """
    padded = F.pad(part.images, (1, 1, 1, 1))
    corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    shifted = [padded[..., i : i + 8, j : j + 8] for i, j in corners]
    return Part(torch.cat(shifted), part.labels.repeat(len(corners)))
