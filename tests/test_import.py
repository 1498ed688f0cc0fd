"""``import catlearn`` stays light, and what it exports is what the design promises."""

import subprocess
import sys

HEAVY = ("discopy", "matplotlib", "sympy", "networkx", "rich", "typer", "numpy.f2py")
# torch itself pulls sympy and networkx on some versions, so the question is what catlearn adds
CODE = "import torch, sys; before = set(sys.modules); import catlearn; print(' '.join(sorted(set(sys.modules) - before)))"


def test_nothing_heavy_is_loaded():
    added = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.split()
    assert "catlearn.core.term" in added
    assert not [name for name in added if name.split(".")[0] in HEAVY]


def test_the_gate_sees_a_heavy_import():
    code = CODE.replace("import catlearn;", "import catlearn, discopy;")
    added = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in added if name.split(".")[0] in HEAVY]


DESIGN = """R dim I S A O SO Sp Z T space index boolean id swap copy discard add repeat linear relu gelu softmax layer_norm dropout mse
box from_module save load compile lens reverse symbolic same cost draw explain to_discopy from_discopy to_networkx learner cross_entropy
sgd adam adamw equivariant hom_basis hom_dim theta diagrams maps verify""".split()


def test_the_names_of_the_design_exist():
    import catlearn as cl

    assert [name for name in DESIGN if not hasattr(cl, name)] == []
    assert [name for name in cl.__all__ if not hasattr(cl, name)] == []
