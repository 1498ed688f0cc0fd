"""Well-known networks, each a few lines of boxes: read this file to learn how terms are written.

``copy`` opens a branch, ``@`` puts branches side by side, ``>>`` goes on, ``id`` waits, ``wires`` puts wires in another order. Sizes may
be symbolic (``cl.dim``). Every function checks what it is given and returns a term; nothing else happens here.

>>> import catlearn as cl
>>> net = mlp([4, 16, 3])
>>> print(net, list(net.params))
composite : R(4) → R(3) ['linear.weight', 'linear.bias', 'linear_1.weight', 'linear_1.bias']
>>> print(transformer(2, length=8, width=16, heads=4).cod)
R(8, 16)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from catlearn import errors
from catlearn.boxes.arithmetic import add, mul, sub
from catlearn.boxes.attention import attention
from catlearn.boxes.contract import linear
from catlearn.boxes.index import gather, scatter_add
from catlearn.boxes.norm import layer_norm
from catlearn.boxes.pointwise import gelu, relu, sigmoid, tanh
from catlearn.boxes.random import dropout as drop
from catlearn.boxes.reduce import sum
from catlearn.boxes.schema import Schema
from catlearn.boxes.shape import concat, reshape, split, transpose
from catlearn.core.combinators import copy, discard, id, repeat
from catlearn.core.sizes import Size
from catlearn.core.spaces import R, Space, boolean
from catlearn.core.term import Term, Wiring

Activation = Schema | Term


def wires(x: Space, *targets: int) -> Term:
    """The same wires in another order: output i is input ``targets[i]``."""
    return Wiring(x, targets)


def mlp(sizes: Sequence[Size | Space], activation: Any = relu, bias: bool = True) -> Term:
    """Affine maps with an activation between them: sizes, or spaces that differ in the last axis only.

    >>> print(mlp([2, 8, 8, 1]).cod)
    R(1)
    """
    spaces = [size if isinstance(size, Space) else R(size) for size in sizes]
    if len(spaces) < 2:
        raise errors.BadBox("mlp", sizes, "at least two sizes: those of the input and of the output")
    net = linear(spaces[0], spaces[1], bias)
    for inner, outer in pairwise(spaces[1:]):
        net = net >> activation >> linear(inner, outer, bias)
    return net


def residual(f: Term) -> Term:
    """x ↦ x + f(x). Wires of f beyond its first are context, which f sees but nothing is added to: ``x @ c → x``.

    >>> import catlearn as cl
    >>> print(residual(mlp([4, 8, 4])))
    composite : R(4) → R(4)
    """
    x = f.cod
    if len(x) != 1 or not len(f.dom) or f.dom[0] != x[0]:
        raise errors.BadBox("residual", f, "a term from x, or from x @ context, to the one wire x", "end it by an arrow back to x")
    context = Space(f.dom.wires[1:])
    return copy(x) @ id(context) >> id(x) @ f >> add(x)


def multi_head_attention(length: Size, width: int, heads: int, causal: bool = False, mask: bool = False, bias: bool = True) -> Term:
    """Self-attention with several heads, ``R(length, width) → R(length, width)`` (Vaswani et al. 2017, section 3.2.2).

    ``mask=True`` takes a second wire, ``boolean(length, length)``: True where row i may look at column j.
    """
    if heads < 1 or width % heads:
        raise errors.BadBox("multi_head_attention", f"width {width}, {heads} heads", "a width that the number of heads divides")
    x, m = R(length, width), boolean(length, length)

    def head(name: str) -> Term:
        return linear(x, x, bias, name) >> reshape((length, heads, width // heads)) >> transpose((1, 0, 2))

    looks = copy(x, 3) >> head("query") @ head("key") @ head("value")
    seen = (looks @ id(m) if mask else looks) >> attention(causal=causal)
    return seen >> transpose((1, 0, 2)) >> reshape((length, width)) >> linear(x, x, bias, "output")


def transformer_block(length: Size, width: int, heads: int, hidden: int | None = None, activation: Any = gelu, causal: bool = False,
                      mask: bool = False, dropout: float = 0.0) -> Term:  # fmt: skip
    """A pre-norm block: x + attention(norm(x)), then x + mlp(norm(x)) (Xiong et al. 2020, arXiv:2002.04745). ``hidden``: 4 · width."""
    x, h = R(length, width), R(length, 4 * width if hidden is None else hidden)
    context = boolean(length, length) if mask else Space()
    tail = drop(x, dropout) if dropout else id(x)
    look = multi_head_attention(length, width, heads, causal, mask).named("attention")
    think = mlp([x, h, x], activation).named("mlp")
    return residual(layer_norm(x, name="norm_1") @ id(context) >> look >> tail) >> residual(layer_norm(x, name="norm_2") >> think >> tail)


def transformer(layers: int, length: Size, width: int, heads: int, hidden: int | None = None, activation: Any = gelu, causal: bool = False,
                mask: bool = False, dropout: float = 0.0) -> Term:  # fmt: skip
    """``layers`` blocks one after the other, and a last norm. With ``mask`` all blocks see the same mask."""
    x, block = R(length, width), transformer_block(length, width, heads, hidden, activation, causal, mask, dropout)
    if not mask:
        return repeat(layers, block).named("blocks") >> layer_norm(x, name="norm")
    m = boolean(length, length)
    return repeat(layers, id(x) @ copy(m) >> block @ id(m)).named("blocks") >> id(x) @ discard(m) >> layer_norm(x, name="norm")


def lstm_cell(x: Space, h: Space, bias: bool = True) -> Term:
    """``x @ h @ c → h @ c``, one step of a long short-term memory, with the gates in the order of ``torch.nn.LSTMCell``: i, f, g, o.

    c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'); every gate is an affine map of x plus one of h.
    """
    gates, n = _gates("lstm_cell", h, 4)
    opened = linear(x, gates, bias, "input") @ linear(h, gates, bias, "hidden") >> add(gates) >> split((n,) * 4)
    ifgo = opened >> sigmoid(h) @ sigmoid(h) @ tanh(h) @ sigmoid(h)
    cell = ifgo @ id(h) >> wires(h @ h @ h @ h @ h, 3, 1, 4, 0, 2) >> id(h) @ mul(h) @ mul(h) >> id(h) @ add(h)  # o, f c + i g
    return cell >> id(h) @ copy(h) >> id(h) @ tanh(h) @ id(h) >> mul(h) @ id(h)


def gru_cell(x: Space, h: Space, bias: bool = True) -> Term:
    """``x @ h → h``, one step of a gated recurrent unit, with the gates in the order of ``torch.nn.GRUCell``: r, z, n.

    r = σ(x_r + h_r), z = σ(x_z + h_z), n = tanh(x_n + r h_n), h' = n + z (h − n), where x_r, h_r, ... are affine in x and in h.
    """
    gates, n = _gates("gru_cell", h, 3)
    opened = (linear(x, gates, bias, "input") >> split((n,) * 3)) @ (
        copy(h) >> (linear(h, gates, bias, "hidden") >> split((n,) * 3)) @ id(h)
    )
    seven = h @ h @ h @ h @ h @ h @ h  # x_r, x_z, x_n, h_r, h_z, h_n, h
    gated = wires(seven, 6, 1, 4, 2, 0, 3, 5) >> id(h) @ (add(h) >> sigmoid) @ id(h) @ (add(h) >> sigmoid) @ id(h)  # h, z, x_n, r, h_n
    new = id(h @ h @ h) @ mul(h) >> id(h @ h) @ (add(h) >> tanh)  # h, z, n
    return opened >> gated >> new >> wires(h @ h @ h, 2, 1, 0, 2) >> id(h @ h) @ sub(h) >> id(h) @ mul(h) >> add(h)


def _gates(name: str, h: Space, count: int) -> tuple[Space, int]:
    """The space of all gates together, and the size of one."""
    n = h[0].shape[-1] if len(h) == 1 and len(h[0].axes) == 1 else None
    if not isinstance(n, int):
        raise errors.BadBox(name, h, "a hidden state R(n) with a known n")
    return R(count * n), n


def deep_sets(phi: Term, rho: Any, pool: Schema = sum) -> Term:
    """A function of a set: ρ(Σ φ(element)) (Zaheer et al. 2017, arXiv:1703.06114, theorem 2).

    φ : R(n, c) → R(n, d) acts on every element alike, as boxes on the last axis do; ρ starts from R(d). ``pool`` may be ``cl.mean``
    or ``cl.max``.

    >>> print(deep_sets(mlp([R(5, 2), R(5, 8)]), mlp([8, 1])))
    composite : R(5, 2) → R(1)
    """
    if len(phi.cod) != 1 or len(phi.cod[0].axes) < 2:
        raise errors.BadBox("deep_sets", phi, "a φ that ends in one wire R(n, d): n elements")
    return phi >> pool((0,)) >> rho


def message_passing(nodes: Space, edges: Space, message: Any, update: Any) -> Term:
    """One round on a graph, ``R(n, c) @ senders @ receivers → R(n, ..)`` (Gilmer et al. 2017, arXiv:1704.01212, eq. 1, 2).

    ``edges`` is the index wire of one end of all e edges, ``cl.index(n, e)``. ``message`` starts from R(e, 2c), the sender's and the
    receiver's features, and ends in R(e, m); what a node receives is added up; ``update`` starts from R(n, c + m).

    >>> import catlearn as cl
    >>> x, i = cl.R(5, 2), cl.index(5, 7)
    >>> print(message_passing(x, i, mlp([cl.R(7, 4), cl.R(7, 3)]), mlp([cl.R(5, 5), cl.R(5, 2)])))
    composite : R(5, 2) @ index(5, 7) @ index(5, 7) → R(5, 2)
    """
    both = wires(nodes @ edges @ edges, 0, 1, 0, 2, 0, 2)  # for the senders, for the receivers, for later
    ends = gather(nodes @ edges) @ gather(nodes @ edges) >> concat
    sent = ends >> message
    received = sent @ id(nodes @ edges) >> wires(sent.cod @ nodes @ edges, 1, 0, 2) >> id(nodes) @ scatter_add(sent.cod @ edges)
    return both >> received >> concat >> update
