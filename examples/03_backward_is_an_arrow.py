"""The backward pass of a network is again a network: it can be run, drawn, costed and compiled."""

import torch

import catlearn as cl

x, y = cl.R(3), cl.R(2)
net = cl.linear(x, y) >> cl.tanh
back = cl.reverse(net)

if __name__ == "__main__":
    print("forward: ", net.dom, "→", net.cod)
    print("backward:", back.dom, "→", back.cod)
    print("it takes the input and a cotangent of the output; it gives one for each parameter, by name, and for the input")

    print("\nits boxes:")
    for node in back.graph.nodes:
        print(f"  {node.name:18}", node.op)

    forward, backward = cl.compile(net, seed=1), cl.compile(back, seed=1)
    point, cotangent = torch.randn(5, 3, requires_grad=True), torch.randn(5, 2)
    dbias, dweight, dx = backward(point.detach(), cotangent)

    forward(point).backward(cotangent)  # torch's own way
    print("\nagrees with autograd:", torch.allclose(dweight, forward.linear.weight.grad), torch.allclose(dx, point.grad),
          torch.allclose(dbias, forward.linear.bias.grad))  # fmt: skip

    lens = cl.lens(net)  # forward and backward together, without autograd
    params = {name: value.detach() for name, value in forward.named_parameters()}
    dparams, _ = lens.put(params, (point.detach(),), (cotangent,))
    print("as a lens:           ", {name: tuple(value.shape) for name, value in dparams.items()})
