"""The closed lens of a learner has an exact meaning too: one step of gradient descent over the rationals."""

from fractions import Fraction as Q

import catlearn as cl
from catlearn.meanings.exact import evaluate

CLOSED = cl.learner(cl.linear(cl.R(2), cl.R(1)), cl.mse, cl.sgd(0.1)).closed
PARAMS = {"linear.weight": [[1, 2]], "linear.bias": [Q(1, 2)]}


def test_the_loss_of_one_event_is_exact():
    loss = evaluate(CLOSED, "rationals", [[3, 4], [1]], PARAMS)
    assert loss.array.item() == Q(441, 4)  # (3 + 8 + 1/2 - 1)²


def test_its_gradient_is_exact_and_the_step_with_it():
    outs = evaluate(cl.reverse(CLOSED, fused=False), "rationals", [[3, 4], [1], 1], PARAMS)
    bias, weight = outs[0], outs[1]
    assert bias.array.tolist() == [21] and weight.array.tolist() == [[63, 84]]  # 2 · 21/2 · (1; 3, 4)
    moved = {"linear.weight": [[1 - Q(63, 10), 2 - Q(84, 10)]], "linear.bias": [Q(1, 2) - Q(21, 10)]}
    after = evaluate(CLOSED, "rationals", [[3, 4], [1]], moved)
    assert after.array.item() == (Q(21, 2) - Q(21 + 3 * 63 + 4 * 84, 10)) ** 2
