"""Sums of diagrams with channels: what an equivariant layer computes, and the planner that computes it fast.

``family.Family`` says which diagrams; ``y[o, c'] = Σ_d Σ_i Σ_c D_d[o, i] weight[d, c', c] x[i, c] + Σ_b B_b[o] bias[b, c']``.

For families of plain elements (deltas only), of any order and for axes of several sizes:

- ``apply.apply(family, x, weight, bias=None)``: contractions and scatters are shared, channels are mixed at the waist, and the backward
  pass is planned likewise (any order of derivative); checks its tensors and raises ``BadMap``.
- ``plan.plan(family, tokens, c_in, c_out)``: the cached plan; ``str`` prints the steps; ``.total("flops" | "moved", forward=True)`` and
  ``.saved`` are its costs, without running anything, for whoever compares it with other ways.

``patterns`` holds the combinatorics, which do not depend on sizes; ``weights`` where weights stand in the matrices of the waists;
``program`` the steps; ``code`` the text of the function that runs them; ``kernel`` the forward and backward pass; ``open`` what compilers
see of small families, ``operator`` of large ones.
"""
