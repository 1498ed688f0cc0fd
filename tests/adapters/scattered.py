"""Trained numbers moved away from where they start, as training would move them."""

import torch


def scattered(model, scale=0.3, seed=1):
    """The model, to every number that learns a random one added."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(scale * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return model
