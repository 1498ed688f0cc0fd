"""A network is an arrow: spaces are its ends, ``>>`` is "then", ``@`` is "beside"."""

import torch

import catlearn as cl

x, h, y = cl.R(4), cl.R(8), cl.R(3)

net = cl.linear(x, h).named("stem") >> cl.relu >> cl.linear(h, y).named("head")

if __name__ == "__main__":
    print("an arrow has two ends:     ", net.dom, "→", net.cod)
    print("and parameters with names: ", ", ".join(f"{name} {tuple(p.wire.shape)}" for name, p in net.params.items()))

    pair = net @ cl.id(cl.R(2))  # a second wire runs past the network
    print("beside an identity:        ", pair.dom, "→", pair.cod)

    model = cl.compile(net)  # a plain torch.nn.Module
    print("\nits torch module runs this code:\n" + model.code)
    print("on a batch of five:", tuple(model(torch.randn(5, 4)).shape))

    try:
        net >> cl.linear(cl.R(5), y)
    except cl.errors.NotComposable as error:
        print("\nwhat does not fit says so:\n" + str(error))
