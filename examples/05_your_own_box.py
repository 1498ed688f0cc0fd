"""A box of your own: one torch line is enough to run it, a definition gives it every other meaning, and the laws test both."""

import catlearn as cl
from catlearn.verify.laws import check

x = cl.R(3)


def define(o, x):
    """x / (1 + x²), in words that every meaning understands."""
    return o.div(x, o.shift(o.power(x, 2), 1))


squash = cl.box("squash", x, x, torch="{x0} / ({x0} * {x0} + 1)", definition=define)
wrong = cl.box("wrong", x, x, torch="{x0} / ({x0} * {x0} + 1.01)", definition=define)  # torch rule and definition disagree

if __name__ == "__main__":
    net = cl.linear(cl.R(2), x) >> squash
    print("it composes:", net.dom, "→", net.cod)
    print("its backward pass comes from its definition:", cl.reverse(squash).cod)

    good = check(squash, trials=2)
    print("\n" + str(good))

    bad = check(wrong, trials=2)
    print(f"\nthe box `wrong` fails {len(bad.failed)} laws; the first, with a witness:")
    print(bad.failed[0].law)
    print(bad.failed[0].note)
