"""Proving beside exporting, checking beside proving, and both along the depth of a network; process CPU time, medians.

The peer of the first is ``torch.export`` itself, on the same network with the same symbolic sizes. Checking has to read the exported graph
and to re-check every node, and so has proving; the search is cheap beside both, since equal layers are typed once.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim, ExportedProgram, export

import catlearn as cl
from benchmarks.compare import SMOKE
from catlearn.interop.trace import trace
from catlearn.verify import claims, kernel
from catlearn.verify.kernel import Proof
from catlearn.verify.program import exported
from catlearn.verify.search import Search

n, b = cl.dim("n"), cl.dim("b")
TOKENS = cl.space(cl.S(n), 64)
ROUNDS = 1 if SMOKE else 3


def encoder(layers: int) -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), layers, enable_nested_tensor=False).eval()


def alone(model: nn.Module) -> ExportedProgram:
    """torch.export and nothing else; without its fast path, which hides the layers in one operator."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        return export(model, (torch.randn(5, 7, 64),), dynamic_shapes=({0: Dim("b", min=2), 1: Dim("n", min=2)},), strict=False)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def proof(model: nn.Module) -> cl.verify.Report:
    return cl.verify.equivariant(model, TOKENS, TOKENS, batch=b)


def seconds(call: Callable[[], Any]) -> float:
    gc.collect()
    start = time.process_time()
    assert call()
    return time.process_time() - start


def test_export_and_proof_beside_export(report):
    """A 12-layer encoder: at most 1.5 × export alone; a certificate against its exported program: at most a tenth of the whole."""
    model = encoder(12)
    proof(encoder(1)), alone(encoder(1))
    pairs = [(seconds(lambda: proof(model)), seconds(lambda: alone(model)), seconds(lambda: alone(model))) for _ in range(ROUNDS)]
    ratio, control = median(2 * a / (x + y) for a, x, y in pairs), median(x / y for _, x, y in pairs)
    report("export and proof / export, 12 layers (<= 1.5)", f"{ratio:6.3f} × peer   (A/A {control:.3f}; peer {pairs[0][1]:.2f} s)")
    assert SMOKE or ratio <= 1.5


def test_checking_beside_proving(report):
    """Against an exported program. Of proving with export it is a small part.

    Of proving without export it cannot be a tenth: whoever checks has to read the exported program, and this alone takes a third of that.
    """
    model = encoder(12)
    found = proof(model)
    program = trace(model, (torch.randn(5, 7, 64),), dynamic=[{0: b, 1: n}])
    whole = median(seconds(lambda: proof(model)) for _ in range(ROUNDS))
    checks = [seconds(lambda: cl.verify.check(found.certificate, program)) for _ in range(5 * ROUNDS)]
    proofs = [seconds(lambda: searched(program)) for _ in range(5 * ROUNDS)]
    reads = [seconds(lambda: exported(program, [claims.type_of(TOKENS[0], (b,)).shape]).program.nodes) for _ in range(5 * ROUNDS)]
    check, own = median(checks), median(proofs)
    report("check / export and proof, 12 layers (<= 0.1)", f"{check / whole:6.3f}   ({check * 1000:.0f} ms of {whole:.2f} s)")
    report(
        "check / proof without export, 12 layers", f"{check / own:6.3f}   ({own * 1000:.0f} ms; reading alone {median(reads) / own:.3f})"
    )
    assert SMOKE or check <= 0.1 * whole


def searched(program: ExportedProgram) -> bool:
    """Proving without export: the exported program is read, a proof searched for, and re-checked."""
    type = claims.type_of(TOKENS[0], (b,))
    found = Search(exported(program, [type.shape]).program, (type,), (type,)).run()
    return isinstance(found, Proof) and kernel.check(found) is None


@pytest.mark.parametrize("what", ["proving", "checking"])
def test_it_is_linear_in_depth(what, report):
    """3, 6, 12 and 24 layers: the time of a layer does not grow, export left out."""
    spent = {}
    for layers in (3, 6, 12, 24):
        model = encoder(layers)
        certificate = proof(model).certificate if what == "checking" else None
        program = trace(model, (torch.randn(5, 7, 64),), dynamic=[{0: b, 1: n}])
        call = partial(searched, program) if certificate is None else partial(cl.verify.check, certificate, program)
        call()
        spent[layers] = median(seconds(call) for _ in range(5 * ROUNDS)) / layers
    report(f"{what}, ms a layer, by depth", ", ".join(f"{layers}: {each * 1000:.1f}" for layers, each in spent.items()))
    assert SMOKE or spent[24] <= 1.5 * spent[6]
