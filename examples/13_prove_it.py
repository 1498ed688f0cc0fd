"""Is a network equivariant? A proof for all weights and all sizes, or the line that breaks it and the smallest example."""

import torch
from torch import nn

import catlearn as cl


class Reader(nn.Module):
    """An encoder of a set; with ``first`` it reads the first point, else the mean of all."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first = first
        self.encode = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.encode(x)
        if self.first:
            return y[:, 0]
        return y.mean(1)


n, b = cl.dim("n"), cl.dim("b")
points = cl.space(cl.S(n), 8)  # n points with 8 numbers; S(n) renames them

if __name__ == "__main__":
    torch.manual_seed(0)
    mean = cl.verify.equivariant(Reader(first=False).eval(), dom=points, cod=cl.R(8), batch=b)
    print(mean)

    print("\nthe same with another way of reading:")
    first = cl.verify.equivariant(Reader(first=True).eval(), dom=points, cod=cl.R(8), batch=b)
    print(first)

    path = mean.save("reader.json")
    print(f"\n{path} is checked without the prover, on other weights:", bool(cl.verify.check(path, Reader(first=False).eval())))
    print("and it says nothing of another network:                ", bool(cl.verify.check(path, Reader(first=True).eval())))
