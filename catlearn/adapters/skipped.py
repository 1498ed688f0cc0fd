"""What a pattern seems to mean and ``adapt`` does not reach, said in one warning with the reason and the next step for each.

A layer whose weight is no parameter, a bare matrix in a module that is named, an alternative that matches nothing: without a word, these
would be a model that learns less than its user thinks.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from catlearn.core.select import matcher

LAYERS = (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding, nn.EmbeddingBag, nn.Bilinear)
Where = str | Callable[[str, nn.Module], bool]


class Skipped(UserWarning):
    """Something that the pattern seems to mean was not adapted."""


class NoDropout(UserWarning):
    """An adapter's dropout does not act on some of its layers."""


def tell(model: nn.Module, where: Where, sites: Sequence[Any], chosen: Sequence[Any]) -> None:
    """Warns ``Skipped`` of all that was passed over."""
    rows = [*layers(model, where, chosen), *named(model, where, sites, chosen)]
    if rows:
        warnings.warn("\n  ".join(["cl.adapt passes over", *rows]), Skipped, stacklevel=6)


def plain(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules of a model by name, without adapters and what parametrizations hold."""
    for path, module in model.named_modules():
        if not {"adapters", "parametrizations"} & set(path.split(".")):
            yield path, module


def layers(model: nn.Module, where: Where, chosen: Sequence[Any]) -> Iterator[str]:
    """A row for each layer that is meant and has no weight to adapt."""
    reached = {id(site.module) for site in chosen} | {id(f.module) for site in chosen for f in site.followers}
    means = where if callable(where) else _by_path(where)
    for path, module in plain(model):
        if (isinstance(module, LAYERS) or packed(module)) and id(module) not in reached and means(path, module):
            yield f"{path or 'the model itself'} ({type(module).__name__}): {reason(path, module)}"


def packed(module: nn.Module) -> bool:
    """Whether this is a layer by its class's name whose numbers are no parameters: quantised, as a rule."""
    named = re.search(r"Linear|Conv\dd", type(module).__name__) is not None
    return (
        named
        and next(module.parameters(), None) is None
        and (hasattr(module, "_packed_params") or next(module.buffers(), None) is not None)
    )


def _by_path(where: str) -> Callable[[str, nn.Module], bool]:
    match = matcher(where)
    return lambda path, module: match(path)


def reason(path: str, module: nn.Module) -> str:
    """Why a layer cannot be adapted by its name, and what to do."""
    if parametrize.is_parametrized(module, "weight"):
        return "its weight is computed by a parametrization; torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') first"
    if packed(module):
        return "it holds no parameters, so it is quantised; adapt the model in floating point, and quantise the merged one"
    if module._parameters.get("weight") is None:
        return "it holds no parameter called weight; make its weight one, or name the parameters that it is computed from"
    return f"its weight is no matrix of one input; where='{f'{path}.weight'.lstrip('.')}' adapts it as a stack of matrices"


def names(model: nn.Module) -> Iterator[str]:
    """The names of all modules and parameters, those that are registered twice by both."""
    for found in (model.named_modules, model.named_parameters):
        yield from (name for name, _ in found(remove_duplicate=False))


def named(model: nn.Module, where: Where, sites: Sequence[Any], chosen: Sequence[Any]) -> Iterator[str]:
    """A row for each alternative that means nothing, and for each bare matrix in a module that is named."""
    if callable(where):
        return
    reached = {(id(site.module), site.attribute) for site in chosen}
    for part in (part.strip() for part in where.split("|")):
        if not any(fnmatch(site.name, part) for site in chosen) and not any(fnmatch(name, part) for name in names(model)):
            yield f"{part!r}: it matches nothing"
        if part.rpartition(".")[2].strip("*"):
            inside = [path for path, _ in plain(model) if fnmatch(path, part)]
            for site in sites:
                if site.bare and (id(site.module), site.attribute) not in reached:
                    owner = site.name.rpartition(".")[0]
                    if any(owner == path or owner.startswith(f"{path}.") for path in inside):
                        yield f"{site.name}: a bare parameter; where='{where}|{site.name}' adapts it too"
