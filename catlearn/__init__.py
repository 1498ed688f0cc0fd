"""catlearn: write a network once, as an arrow; get its torch module, its backward pass, its update rule, its picture, its cost
and its explanation as functors of that one arrow.

``>>`` is "then", ``@`` is "beside" and binds tighter. See ``docs/`` for a tour; every name here has an example in its docstring.
"""

from catlearn import errors
from catlearn.boxes.arithmetic import add, div, mul, power, scale, shift, sub
from catlearn.boxes.constant import full
from catlearn.boxes.contract import bias, einsum, linear, matmul
from catlearn.boxes.pointwise import erf, exp, gelu, log, relu, sigmoid, step, tanh
from catlearn.boxes.reduce import max, mean, sum
from catlearn.boxes.shape import broadcast, concat, flatten, pad, reshape, slice, split, transpose
from catlearn.core.cells import Cell
from catlearn.core.functor import Endofunctor, Functor
from catlearn.core.hooks import MEANINGS
from catlearn.core.op import Fused, Init, Op, Param
from catlearn.core.sizes import dim
from catlearn.core.spaces import A, I, O, R, S, SO, Sp, Space, T, Z, boolean, index, parameter, space, tangent
from catlearn.core.term import Box, Par, Repeat, Reparam, Scope, Seq, Term, Wiring, copy, discard, id, par, repeat, seq, swap
from catlearn.meanings.lens import Lens, lens
from catlearn.meanings.module import compile
from catlearn.meanings.reverse import reverse

MEANINGS.update(run="catlearn.meanings.module:run", svg="catlearn.meanings.picture:svg", vjp="catlearn.meanings.reverse:vjp")

__version__ = "0.1.0"
