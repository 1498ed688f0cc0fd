"""Branches are seen: a wire is copied on purpose, and weights are shared by name, never by accident."""

import torch

import catlearn as cl

h = cl.R(8)

branch = cl.linear(h, h) >> cl.tanh
block = cl.copy(h) >> branch @ cl.id(h) >> cl.add(h)  # x ↦ tanh(W x + b) + x
twice = cl.repeat(2, block).named("body")
tied = twice.at("body.*.linear.weight").tie()
shared = cl.repeat(2, block, shared=True).named("body")

if __name__ == "__main__":
    for title, net in (("own weights", twice), ("one weight, two biases", tied), ("everything shared", shared)):
        print(f"{title:24}", ", ".join(net.params))

    print("\nthe module of the tied network has these entries:")
    model = cl.compile(tied)
    for name, value in model.named_parameters():
        print(f"  {name:24} {tuple(value.shape)}")

    # tying is precomposition with t ↦ (t, t): the gradient of the tied weight is the sum of the two
    values = {name: value.detach() for name, value in model.named_parameters()}
    both = {f"body.{i}.linear.weight": values["body.0.linear.weight"] for i in range(2)}
    x, dy = torch.randn(8), torch.ones(8)
    one, _ = cl.lens(tied).put(values, (x,), (dy,))
    two, _ = cl.lens(twice).put({**values, **both}, (x,), (dy,))
    total = two["body.0.linear.weight"] + two["body.1.linear.weight"]
    print("\ngradient of the tied weight = sum of the two:", torch.allclose(one["body.0.linear.weight"], total))
