"""The second language: structured linear maps. `>>` is then, `@` is the Kronecker product, `+` the sum; a planner applies them."""

import torch

import catlearn as cl
from catlearn import maps

W = maps.dense("W", 256, 256, trainable=False)  # a frozen weight
A, B = maps.dense("A", 4, 256), maps.dense("B", 256, 4)
lora = W + 0.5 * (A >> B)  # a low-rank update, written as what it is

P, Q = maps.dense("P", 16, 16), maps.dense("Q", 16, 16)
kron = (P @ Q) >> maps.diagonal("d", (16, 16))  # 256 → 256 with 768 numbers

if __name__ == "__main__":
    for f in (lora, kron):
        print(f"{f!s:22} {f.dom} → {f.cod}, rank at most {f.rank_bound}, parameters {', '.join(f.params)}")

    print("\nwhat is cheap depends on how many vectors there are:")
    for tokens in (1, 100_000):
        print(f"  {tokens:7,} vectors: {lora.plan(tokens).chosen}, {lora.flops(tokens):,} flops")
    print("\nthe plan for eight vectors:")
    print(lora.plan(8).forward)
    print("\nand for the Kronecker product, which is never written out:")
    print(kron.plan(8).forward)

    params = {name: torch.randn(tuple(p.wire.shape)) for name, p in kron.params.items()}
    x = torch.randn(5, 16, 16)
    fast, slow = kron.apply(x, params).reshape(5, -1), x.reshape(5, -1) @ kron.dense(params).T
    print("\nthe planned way agrees with the matrix:", torch.allclose(fast, slow, atol=1e-3))

    layer = cl.linear(lora)  # a box of a network; its parameters are those of the map
    print("as a box:", layer.dom, "→", layer.cod, list(layer.params))
