"""A module that somebody else wrote, as an arrow: read it, price it, compare it, edit it, and get a module back."""

import torch
from torch import nn

import catlearn as cl

if __name__ == "__main__":
    torch.manual_seed(0)
    theirs = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 3, enable_nested_tensor=False).eval()
    x = torch.randn(2, 5, 16)
    term = cl.categorify(theirs, x)  # the wire is R(2, 5, 16): no axis is taken for a batch

    print(cl.coverage(term))
    print("\n" + "\n".join(cl.explain(term).splitlines()[:12]))
    print(f"\n{cl.cost(term)}")

    ours = cl.compile(term)
    print("\nback to a module, the same numbers:", torch.allclose(ours(x), theirs(x), atol=1e-6))
    print("and the same names:                ", set(ours.state_dict()) == set(theirs.state_dict()))

    # 2-cells act on it as on any term: all but the last layer stop learning
    tuned = cl.compile(term.at("layers.0.*|layers.1.*").freeze())
    print("parameters that still learn:       ", sum(p.requires_grad for p in tuned.parameters()), "of", len(list(tuned.parameters())))

    # and equality sees through how it was written
    other = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu"), 3, enable_nested_tensor=False)
    print("the same network with gelu:        ", cl.same(term, cl.categorify(other.eval(), x)))
