"""When are two networks the same arrow? `same` knows the laws, gives the renaming, or shows the first difference."""

import catlearn as cl

x, y = cl.R(3), cl.R(2)
f, g = cl.linear(x, x), cl.linear(y, y)


def ask(what, left, right):
    answer = cl.same(left, right)
    print(f"{what:58}", "yes" if answer else "no")
    return answer


if __name__ == "__main__":
    ask("brackets and identities do not matter", (f >> cl.relu) >> cl.id(x), f >> (cl.id(x) >> cl.relu))
    ask("side by side, in any order, wires brought back", f @ g, cl.swap(x, y) >> g @ f >> cl.swap(y, x))
    ask("relu once and copied, or copied and relu twice", cl.relu(x) >> cl.copy(x), cl.copy(x) >> cl.relu(x) @ cl.relu(x))
    ask("the same with a layer that has weights", f >> cl.copy(x), cl.copy(x) >> f @ f)

    one = cl.linear(x, x, name="a")
    two = cl.copy(x) >> cl.linear(x, x, name="a") @ cl.linear(x, x, name="b")
    ask("... unless its two copies are tied", one >> cl.copy(x), two.at("*.weight").tie().at("*.bias").tie())

    answer = ask("names that nobody chose are matched", (f >> f) @ (g >> g), (f @ g) >> (f @ g))
    print("   by", {old: new for old, new in answer.renaming.items() if old != new and old.endswith("weight")})

    answer = ask("one box differs", f >> cl.tanh >> f, f >> cl.relu >> f)
    print(answer.difference)
