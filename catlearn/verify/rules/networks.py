"""The operators that networks have names for: normalisation, convolution, pooling, dropout, recurrent cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from catlearn.verify.rules.call import (
    IN_DISTRIBUTION,
    Call,
    Rule,
    Typed,
    Typing,
    acting,
    cyclic,
    plain_type,
    require_entrywise,
    require_plain,
    typed,
    varied,
)
from catlearn.verify.rules.reduce import require_set, still
from catlearn.verify.types import Axis, Factor, Refused, Type, is_plain, is_set, meet, numbers, plain, show, size, trivial


def _affine(axes: tuple[Axis, ...], call: Call, at: int, *names: str) -> tuple[Axis, ...]:
    """The axes after a scale and a shift with the shape of some of them, from place ``at`` on."""
    found = list(axes)
    for name in names:
        w = call.get(name)
        if isinstance(w, Typed):
            for i, axis in enumerate(numbers(w.type, "a scale").axes):
                found[at + i] = require_entrywise(meet(found[at + i], axis, "fn"), "a scale")
    return tuple(found)


def layer_norm(call: Call) -> list[Typing]:
    """Mean and variance over the last axes, then a scale and a shift along them: over a set only without these."""
    x = call.tensor("input")
    k = x.rank - len(call.args["normalized_shape"])
    centred = still(x.type, range(k, x.rank)) if call.op == "aten.layer_norm.default" else x.type  # others also give the mean, or none
    for i, axis in enumerate(numbers(centred, "a normalisation").axes):
        require_set(axis, "a normalisation") if i >= k else require_entrywise(axis, "a normalisation")
    found = Type(_affine(centred.axes, call, k, "weight", "bias"))
    statistics = Type((*x.axes[:k], *(() for _ in x.axes[k:])))
    return typed(found, *(statistics for _ in call.outs[1:]))


def rms_norm(call: Call) -> Type:
    """The root of the mean square over the last axes."""
    return layer_norm(replace(call, outs=call.outs[:1]))[0].types[0]


def _channels(call: Call, name: str, *params: str) -> tuple[Typed, tuple[Axis, ...]]:
    """A tensor of shape (batch, channels, ...) and its axes after a scale and a shift of each channel."""
    x = call.tensor(name)
    for axis in numbers(x.type, "a normalisation").axes:
        require_entrywise(axis, "a normalisation")
    return x, _affine(x.axes, call, 1, *params)


def group_norm(call: Call) -> Type:
    """Mean and variance of groups of channels, over all places."""
    _, axes = _channels(call, "input", "weight", "bias")
    for axis in axes[2:]:
        require_set(axis, "a normalisation")
    groups = call.args["num_groups"]
    if groups != 1 or call.get("weight") is not None:
        return Type((axes[0], require_plain(axes[1], "a normalisation of groups of channels"), *axes[2:]))
    require_set(axes[1], "a normalisation")
    return Type(axes)


def batch_norm(call: Call) -> list[Typing]:
    """In evaluation a function of each entry and its channel; in training also of the whole batch, of which it sees no order."""
    training = bool(call.get("training", call.get("train", call.get("use_input_stats", "functional" in call.op or "_no_stats" in call.op))))
    if training and len(call.outs) == 1:  # the mean is taken away, and with it what is added to a whole channel
        x = call.tensor("input")
        call = replace(call, args={**call.args, "input": replace(x, type=still(x.type, [i for i in range(x.rank) if i != 1]))})
    _, axes = _channels(call, "input", "weight", "bias", "running_mean", "running_var")
    if training:
        for i, axis in enumerate(axes):
            if i != 1:
                require_set(axis, "a normalisation")
    statistics = [Type((axes[1],)) if len(out.shape) == 1 and out.shape[0] == size(axes[1]) else plain_type(out) for out in call.outs[1:]]
    return typed(Type(axes), *statistics)


def instance_norm(call: Call) -> Type:
    """Mean and variance of each channel over all places, or what has been kept of them."""
    _, axes = _channels(call, "input", "weight", "bias", "running_mean", "running_var")
    for axis in axes[2:]:
        require_set(axis, "a normalisation")
    return Type(axes)


def dropout(call: Call) -> list[Typing]:
    """Dropout: nothing in evaluation; in training equal in distribution only, and only where entries are permuted."""
    x = call.tensor("input" if "input" in call.args else "self")
    if not call.args["train"] or call.args["p"] == 0:
        return typed(x.type)
    for axis in numbers(x.type, "dropout").axes:
        require_entrywise(axis, "dropout")
    return typed(varied(x.type), assumes=IN_DISTRIBUTION)


def _window(axis: Axis, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Axis:
    """An axis along which a window slides."""
    if is_plain(axis):
        return plain(out)
    if kernel == 1 and stride == 1 and padding == 0 and is_set(axis):
        return axis
    f = axis[0]
    exact = len(axis) == 1 and f.kind == "P" and stride == 1 and padding == 0 and f.pad[0] + f.pad[1] == dilation * (kernel - 1)
    if exact:  # place j reads places j - pad … of the cycle, so a shift of the cycle shifts the result
        return (Factor("X", out, f.group),)
    hint = "; pad it cyclically and move the window by 1" if cyclic(axis) else ""
    raise Refused(f"a window slides along {show(axis)}, on which {acting(axis)} acts{hint}")


def _each(given: Any, n: int) -> list[Any]:
    found = list(given) if isinstance(given, list | tuple) else [given]
    return found * n if len(found) == 1 else found


def convolution(call: Call) -> Type:
    """A convolution: batch axes are carried along, channels are mixed, windows slide along the others."""
    x, w = call.tensor("input"), call.tensor("weight")
    for t in (x, w):
        numbers(t.type, "a convolution")
    if not all(is_plain(axis) for axis in w.axes):
        raise Refused(f"a convolution whose weight has the type {w.type}")
    if isinstance(call.get("bias"), Typed) and not trivial(call.args["bias"].type):
        raise Refused("a convolution whose bias is not plain")
    n = w.rank - 2
    if call.get("transposed", "transpose" in call.op):
        for axis in x.axes[x.rank - n :]:
            require_plain(axis, "the places of a transposed convolution")
        return _mixed(call, x, n, [plain(k) for k in call.outs[0].shape[x.rank - n :]])
    if isinstance(call.args["padding"], str):
        return _same_padding(call, x, w, n)
    options = [_each(call.args[name], n) for name in ("stride", "padding", "dilation")]
    shape = call.outs[0].shape
    kernels = w.value.shape[2:]
    places = [_window(x.axes[x.rank - n + i], shape[len(shape) - n + i], kernels[i], *(o[i] for o in options)) for i in range(n)]
    return _mixed(call, x, n, places)


def _mixed(call: Call, x: Typed, n: int, places: list[Axis]) -> Type:
    """The type of a convolution with these places: its batch axes are carried along, its channels mixed."""
    batch = tuple(require_entrywise(axis, "a convolution") for axis in x.axes[: x.rank - n - 1])
    require_plain(x.axes[x.rank - n - 1], "a convolution's channels")
    return Type((*batch, plain(call.outs[0].shape[len(batch)]), *places))


def _same_padding(call: Call, x: Typed, w: Typed, n: int) -> Type:
    if any(k != 1 for k in w.value.shape[2:]) and not all(is_plain(axis) for axis in x.axes[x.rank - n :]):
        raise Refused("a convolution padded with zeros")
    return convolution(replace(call, args={**call.args, "padding": [0] * n}))


def pool(call: Call) -> list[Typing]:
    """Average and maximum pooling: windows slide along the last axes."""
    x = call.tensor("self" if "self" in call.args else "input")
    n = int(call.op.split("pool")[1][0])
    sizes = _each(call.args["kernel_size"], n)
    strides = _each(call.get("stride") or sizes, n)
    paddings, dilations = _each(call.get("padding", 0), n), _each(call.get("dilation", 1), n)
    shape = call.outs[0].shape
    axes = [require_entrywise(axis, "pooling") for axis in numbers(x.type, "pooling").axes[: x.rank - n]]
    for i in range(n):
        k = x.rank - n + i
        axes.append(_window(x.axes[k], shape[k], sizes[i], strides[i], paddings[i], dilations[i]))
    found = Type(tuple(axes))
    if len(call.outs) > 1 and not all(is_plain(axis) for axis in x.axes[x.rank - n :]):
        raise Refused("the places of the largest entries")
    return typed(*(found for _ in call.outs))


def adaptive_pool(call: Call) -> list[Typing]:
    """Adaptive pooling: to one place it is a mean or a maximum over all."""
    x = call.tensor("self")
    n = int(call.op.split("pool")[1][0])
    shape = call.outs[0].shape
    axes = [require_entrywise(axis, "pooling") for axis in numbers(x.type, "pooling").axes[: x.rank - n]]
    for k in range(x.rank - n, x.rank):
        whole = shape[k] == 1 and is_set(x.axes[k])
        if not whole:
            require_plain(x.axes[k], "pooling to several places")
        axes.append(() if whole else plain(shape[k]))
    if len(call.outs) > 1 and not all(is_plain(axis) for axis in x.axes[x.rank - n :]):
        raise Refused("the places of the largest entries")
    return typed(*(Type(tuple(axes)) for _ in call.outs))


def recurrent(call: Call) -> list[Typing]:
    """lstm, gru, rnn: time has an order, features are mixed, the batch is carried along."""
    x = call.tensor("input")
    first = 0 if call.args.get("batch_first") else 1
    if x.rank != 3:
        raise Refused("a recurrent network without a batch axis")
    for i, axis in enumerate(numbers(x.type, "a recurrent network").axes):
        require_entrywise(axis) if i == first else require_plain(axis, "a recurrent network's time and features")
    batch = x.axes[first]
    states = call.args["hx"] if isinstance(call.args["hx"], list | tuple) else [call.args["hx"]]
    for h in states:
        for i, axis in enumerate(numbers(h.type, "a state").axes):
            if i == 1:
                batch = require_entrywise(meet(batch, axis, "fn"))
            else:
                require_plain(axis, "a recurrent network's state")
    for w in call.args["params"]:
        for axis in numbers(w.type, "a weight").axes:
            require_plain(axis, "a recurrent network's weights")
    if call.args.get("train") and call.args.get("dropout"):
        raise Refused("a recurrent network with dropout in training")
    types = []
    for k, out in enumerate(call.outs):
        at = first if k == 0 else 1
        types.append(Type(tuple(batch if i == at else plain(n) for i, n in enumerate(out.shape))))
    return typed(*types)


_CONVOLUTIONS = """conv1d.default conv2d.default conv3d.default convolution.default conv1d.padding conv2d.padding conv3d.padding
conv_transpose1d.default conv_transpose2d.input conv_transpose3d.input""".split()
_POOLS = """avg_pool1d.default avg_pool2d.default avg_pool3d.default max_pool1d.default max_pool2d.default max_pool3d.default
max_pool1d_with_indices.default max_pool2d_with_indices.default max_pool3d_with_indices.default""".split()
_BATCH = """batch_norm.default _native_batch_norm_legit.default _native_batch_norm_legit_no_training.default _batch_norm_no_update.default
_native_batch_norm_legit_functional.default _native_batch_norm_legit.no_stats _batch_norm_with_update_functional.default
native_batch_norm.default""".split()

ROWS: dict[str, Rule] = {
    "aten.layer_norm.default": layer_norm,
    "aten.native_layer_norm.default": layer_norm,
    "aten.rms_norm.default": rms_norm,
    "aten.group_norm.default": group_norm,
    "aten.instance_norm.default": instance_norm,
    **{f"aten.{name}": batch_norm for name in _BATCH},
    **{f"aten.{name}.default": dropout for name in ("dropout", "feature_dropout", "alpha_dropout")},
    **{f"aten.{name}": convolution for name in _CONVOLUTIONS},
    **{f"aten.{name}": pool for name in _POOLS},
    **{f"aten.adaptive_{kind}_pool{n}d.default": adaptive_pool for kind in ("avg", "max") for n in (1, 2, 3)},
    **{f"aten.{name}": recurrent for name in ("lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input")},
}
