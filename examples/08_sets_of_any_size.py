"""An equivariant layer has a weight for each diagram and none for a point, so the same weights serve sets and graphs of any size."""

import torch

import catlearn as cl

G = cl.S(5)
x, h = G.space(1, channels=3), G.space(1, channels=16)  # five points with 3 numbers each
net = cl.equivariant(x, h) >> cl.relu >> cl.equivariant(h, h) >> cl.relu >> cl.equivariant(h, cl.R(1))

if __name__ == "__main__":
    for name, param in net.params.items():
        axes = "diagrams, outputs, inputs" if name.endswith("weight") else "diagrams, outputs"
        print(f"{name:21} {tuple(param.wire.shape)!s:12} {axes}")

    model = cl.compile(net, seed=0)
    points = torch.randn(5, 3)
    order = torch.randperm(5)
    print("\nanother order, the same answer: ", torch.allclose(model(points), model(points[order]), atol=1e-6))

    nine = cl.resize(net, G, cl.S(9))  # the same parameters, another n
    larger = cl.compile(nine, dict(model.named_parameters()))
    print("nine points, the same weights:  ", larger(torch.randn(9, 3)).shape)

    n = cl.dim("n", min=2)  # or leave n open from the start
    graphs = cl.invariant_graph_network(cl.S(cl.dim("n", min=4)), [1, 8, 8], normalise="mean")
    print("\na network for graphs of any size:", graphs)
    answer = cl.compile(graphs, seed=0)
    for size in (4, 7, 30):
        circle = torch.eye(size).roll(1, 0) + torch.eye(size).roll(-1, 0)  # its adjacency matrix
        with torch.no_grad():
            value = answer(circle[..., None])
        print(f"  a circle of {size:2} nodes: {value.item():.4f}")

    try:
        cl.equivariant(cl.S(n).space(2, 1), cl.S(n).space(2, 1))
    except cl.errors.BadSymmetry as error:
        print("\nfor small n the diagrams are dependent, so a layer of pairs must know that n is large enough:\n" + str(error))
