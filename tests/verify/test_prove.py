"""The prover from outside: what is true is proved, what is false is refuted with a counterexample that holds, the rest says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import catlearn as cl
from catlearn.errors import BadClaim

n = cl.dim("n")
POINTS, TOKENS = cl.space(cl.S(n), cl.E(3)), cl.space(cl.S(n), 8)


class Cloud(nn.Module):
    """Positions to positions, by distances; with ``position`` it breaks the symmetry in one line."""

    def __init__(self, position: bool = False) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 1))
        self.position = nn.Parameter(torch.randn(4, 3)) if position else None

    def forward(self, x: Tensor) -> Tensor:
        d = x[:, None] - x[None]
        y = x + (self.net(d.pow(2).sum(-1, keepdim=True)) * d).mean(1)
        if self.position is not None:
            y = y + self.position
        return y


def encoder() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()


def first_token(model: nn.Module) -> nn.Module:
    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            return self.model(x)[:, 0]

    return First()


SKEW = torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1], [-1, 0, 0, 0], [0, -1, 0, 0]])
LEVI = torch.tensor([[[float((i - j) * (j - k) * (k - i)) / 2 for k in range(3)] for j in range(3)] for i in range(3)])
O3, SO3, SP4, Z8 = cl.space(cl.O(3)), cl.space(cl.SO(3)), cl.space(cl.Sp(4)), cl.space(3, cl.Z(8))
GRAPH = cl.space(cl.S(n), cl.S(n))
CIRCULAR = nn.Conv1d(3, 3, 3, padding=1, padding_mode="circular")
TRUE: dict[str, tuple[Callable[..., Any], cl.Space, cl.Space]] = {
    "deep set": (lambda x: torch.relu(x - x.mean(0)).sum(0), TOKENS, cl.R(8)),
    "cloud": (Cloud(), POINTS, POINTS),
    "distances": (lambda x: torch.cdist(x, x), cl.space(cl.S(6), cl.E(3)), cl.space(cl.S(6), cl.S(6))),
    "symplectic form": (lambda x, y: (x @ SKEW * y).sum(), SP4 @ SP4, cl.R()),
    "cross product": (lambda x, y: torch.linalg.cross(x, y), SO3 @ SO3, SO3),
    "cross product by its tensor": (lambda x, y: torch.einsum("ijk,j,k->i", LEVI, x, y), SO3 @ SO3, SO3),
    "determinant squared": (lambda x: torch.linalg.det(x) ** 2, cl.space(cl.O(3), 3), cl.R()),
    "circular convolution": (CIRCULAR, Z8, Z8),
    "each of a set twice": (
        lambda x: x.index_select(0, torch.arange(3)[:, None].expand(3, 2).reshape(6)).reshape(3, 2),
        cl.space(cl.S(3)),
        cl.space(cl.S(3), 2),
    ),
    "translated points from themselves": (lambda x: x.index_add(0, torch.arange(3), x, alpha=-1).square().sum(), cl.space(cl.E(3)), cl.R()),
    "a sum with what stands beside a set": (lambda x: F.pad(x, (1, 2)).sum(), cl.space(cl.S(n)), cl.R()),
    "matrix as a graph": (lambda a: torch.relu(a + a.T) + torch.diag_embed(a.sum(0)), GRAPH, GRAPH),
    "messages": (
        lambda x, e: torch.zeros_like(x).index_add(0, e[1], torch.relu(x[e[0]])),
        cl.space(cl.S(6), 4) @ cl.index(cl.S(6), 2, cl.S(9, name="edges")),
        cl.space(cl.S(6), 4),
    ),
}  # fmt: skip
FALSE: dict[str, tuple[Callable[..., Any], cl.Space, cl.Space]] = {
    "position": (Cloud(position=True), cl.space(cl.S(4), cl.O(3)), cl.space(cl.S(4), cl.O(3))),
    "relu of a vector": (torch.relu, O3, O3),
    "cross product under reflections": (lambda x, y: torch.linalg.cross(x, y), O3 @ O3, O3),
    "dot product under Sp": (lambda x, y: (x * y).sum(), SP4 @ SP4, cl.R()),
    "determinant": (torch.linalg.det, cl.space(cl.O(3), 3), cl.R()),
    "zero padding": (nn.Conv1d(3, 3, 3, padding=1), Z8, Z8),
    "sum of positions": (lambda x: x.sum(0), POINTS, cl.space(cl.E(3))),
    "cumulative sum": (lambda x: x.cumsum(0), TOKENS, TOKENS),
    "numbering": (lambda x: x * torch.arange(x.shape[0])[:, None], TOKENS, TOKENS),
    "indices as numbers": (lambda x, e: x * e.sum(), cl.space(cl.S(6), 4) @ cl.index(cl.S(6), 3), cl.space(cl.S(6), 4)),
    "another set": (lambda x, e: x[e], cl.space(cl.S(6, name="a"), 4) @ cl.index(cl.S(6, name="b"), 3), cl.R(3, 4)),
}


@pytest.mark.parametrize("name", TRUE)
def test_what_is_true_is_proved_and_its_certificate_holds(name: str) -> None:
    f, dom, cod = TRUE[name]
    report = cl.verify.equivariant(f, dom, cod)
    assert report.verdict == "proved", report
    assert report.certificate is not None
    again = cl.verify.check(json.loads(json.dumps(report.certificate)), f)
    assert again.verdict == "proved", again
    assert not cl.verify.check(report.certificate, lambda *xs: f(*xs) * 2)


@pytest.mark.parametrize("name", FALSE)
def test_what_is_false_is_refuted_by_numbers_that_differ(name: str) -> None:
    f, dom, cod = FALSE[name]
    report = cl.verify.equivariant(f, dom, cod)
    assert report.verdict == "refuted" and not report, report
    assert report.counterexample is not None and report.counterexample.difference > 1e-6
    assert report.reason and report.certificate is None


def test_a_counterexample_is_reproduced_by_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    f, dom, cod = FALSE["position"]
    found = cl.verify.equivariant(f, dom, cod).counterexample
    assert found is not None and found.sizes == {}
    exec(found.script(), {"f": f, "tensor": torch.tensor})
    first, second = capsys.readouterr().out.split("tensor")[1:]
    assert first.strip() != second.strip()


def test_the_line_that_breaks_the_symmetry_is_named() -> None:
    report = cl.verify.equivariant(*FALSE["position"])
    assert report.where is not None
    line = Path(report.where.file).read_text().splitlines()[report.where.line - 1]
    assert line.strip() == "y = y + self.position"


def test_an_encoder_is_equivariant_for_all_sizes_and_its_first_token_keeps_what_fixes_it() -> None:
    model = encoder()
    report = cl.verify.equivariant(model, TOKENS, TOKENS, batch=cl.dim("b"))
    assert report and "every b ≥ 2, n ≥ 2" in report.claim
    first = cl.verify.equivariant(first_token(model), TOKENS, cl.R(8), batch=2)
    assert first.verdict == "refuted" and first.surviving == "S(n - 1) fixing the first point"
    assert first.counterexample is not None and first.counterexample.sizes == {"n": 2}


def test_dropout_in_training_is_stated_not_proved() -> None:
    model = encoder().train()
    report = cl.verify.equivariant(model, TOKENS, TOKENS, batch=2)
    assert report.verdict == "unknown" and "distribution" in report.reason and "training mode" in report.claim


def test_certificates_survive_a_file_and_other_weights(tmp_path: Any) -> None:
    report = cl.verify.equivariant(Cloud(), POINTS, POINTS)
    path = report.save(tmp_path / "cloud.json")
    assert cl.verify.check(path, Cloud()) and cl.verify.check(str(path), Cloud())
    assert not cl.verify.check(path, Cloud(position=True))
    with pytest.raises(cl.errors.BadCertificate):
        cl.verify.equivariant(torch.relu, O3, O3).save(tmp_path / "none.json")


def test_a_changed_certificate_is_found_with_its_digest_and_without() -> None:
    from catlearn.verify.certificate import digest

    report = cl.verify.equivariant(Cloud(), POINTS, POINTS)
    assert report.certificate is not None
    changed = json.loads(json.dumps(report.certificate))
    changed["program"]["nodes"][0]["op"] = "aten.relu.default"
    with pytest.raises(cl.errors.BadCertificate):
        cl.verify.check(changed, Cloud())
    changed["digest"] = digest(changed)
    assert not cl.verify.check(changed, Cloud())


def branches(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cl.verify.equivariant(branches, TOKENS, TOKENS), "test_prove.py"),
        (lambda: cl.verify.equivariant(encoder(), cl.space(cl.S(n), 9), cl.space(cl.S(n), 9), batch=2), "does not run"),
        (lambda: cl.verify.equivariant(encoder(), cl.space(cl.S(1), 8), cl.space(cl.S(1), 8), batch=2), "acts on 1"),
        (lambda: cl.verify.equivariant(encoder(), cl.space(cl.S(cl.dim("k", min=0)), 8), TOKENS, batch=2), "fewer than two"),
        (lambda: cl.verify.equivariant(encoder(), TOKENS, cl.R(8), batch=2), "cod says"),
        (lambda: cl.verify.equivariant(encoder(), TOKENS, TOKENS @ TOKENS, batch=2), "2 wires"),
        (lambda: cl.verify.equivariant(nn.Embedding(3, 4), cl.index(50, cl.S(40)), cl.space(cl.S(40), 4)), "index out of range"),
        (lambda: cl.verify.equivariant(torch.relu, cl.space(cl.S(5)), cl.space(cl.S(5, name="other"))), "acts on cod, and not on dom"),
        (lambda: cl.verify.equivariant(3, TOKENS, TOKENS), "no module"),
        (lambda: cl.verify.equivariant(torch.relu, cast(Any, 5), TOKENS), "no space"),
        (lambda: cl.verify.check({}, torch.relu), "fields"),
        (lambda: cl.verify.check("nowhere.json", torch.relu), "no file"),
    ],
)
def test_bad_input_is_met_in_words(make: Callable[[], object], words: str) -> None:
    with pytest.raises(cl.errors.CatlearnError, match=words.replace("(", r"\(")):
        make()


def test_the_prover_leaves_a_module_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    cl.verify.equivariant(model, TOKENS, TOKENS)
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("command", ["verify", "check"])
def test_the_command_line_proves_and_checks(command: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from catlearn.cli import main

    file = tmp_path / "net.py"
    file.write_text("import torch\nnet = torch.nn.Linear(3, 4)\ndef bad(x):\n    return x.cumsum(0)\n")
    target, cert = f"{file}:net", str(tmp_path / "net.json")
    assert main(["verify", target, "--dom", "space(S(n), 3)", "--cod", "space(S(n), 4)", "--save", cert]) == 0
    if command == "check":
        assert main(["check", cert, target]) == 0
        assert main(["check", cert, f"{file}:bad"]) == 1
    else:
        assert main(["verify", f"{file}:bad", "--dom", "space(S(n), 3)", "--cod", "space(S(n), 3)"]) == 1
        assert "counterexample" in capsys.readouterr().out
        assert main(["verify", target, "--dom", "__import__('os')", "--cod", "R(1)"]) == 2


def gathered(x: Tensor, y: Tensor) -> Tensor:
    ones = torch.tensor([True, True, True, True, True])
    return torch.relu(x[ones] + y[ones]).sum()


def shared(x: Tensor) -> Tensor:
    m = x > 0
    return (x[m] * x[m]).sum() + torch.relu(x[x > 1]).sum()


def written(x: Tensor) -> Tensor:
    y = x.clone()
    y[x > 1] = 0.5
    return y


def test_what_a_mask_picks_is_a_set_of_its_own() -> None:
    a, b = cl.space(cl.S(5, name="a")), cl.space(cl.S(5, name="b"))
    assert cl.verify.equivariant(shared, a, cl.R()) and cl.verify.equivariant(written, a, a)
    assert not cl.verify.equivariant(lambda x: x[x > 0][:1].sum(), a, cl.R())
    assert cl.verify.equivariant(gathered, a @ b, cl.R()).verdict == "refuted"  # one mask, on which two groups act


def test_sampling_is_called_sampling() -> None:
    x = cl.space(cl.S(4))

    def quadratic(x: Tensor) -> Tensor:  # x·x - (sum of both halves' squares): zero, by a way that no rule sees
        return (x * x).sum() - (x[:2] ** 2).sum() - (x[2:] ** 2).sum()

    assert cl.verify.equivariant(quadratic, x, cl.R()).verdict == "unknown"
    report = cl.verify.equivariant(quadratic, x, cl.R(), samples=20)
    assert report.verdict == "sampled" and not report and "comparisons" in report.reason
    assert cl.verify.equivariant(lambda x: x[0], x, cl.R(), samples=20).verdict == "refuted"


def test_a_search_for_a_counterexample_that_is_cut_off_says_so() -> None:
    x = cl.space(cl.S(4))

    def quadratic(x: Tensor) -> Tensor:
        return (x * x).sum() - (x[:2] ** 2).sum() - (x[2:] ** 2).sum()

    short = cl.verify.equivariant(quadratic, x, cl.R(), seconds=0)
    assert short.verdict == "unknown" and short.reason.endswith("the search for a counterexample was cut off after 0 s")
    for seconds in (None, 60.0):
        whole = cl.verify.equivariant(quadratic, x, cl.R(), seconds=seconds)
        assert whole.verdict == "unknown" and "cut off" not in whole.reason
        assert cl.verify.equivariant(lambda x: x[0], x, cl.R(), seconds=seconds).verdict == "refuted"
    for seconds in (-1, float("nan"), True, "3"):
        with pytest.raises(BadClaim, match="no time limit"):
            cl.verify.equivariant(quadratic, x, cl.R(), seconds=seconds)  # type: ignore[arg-type]


def test_what_is_sorted_needs_no_assumption_and_where_it_stood_does() -> None:
    x = cl.space(cl.S(n), 3)
    for f in (lambda x: x.sort(0).values[0] + x.max(0).values, lambda x: x.median(0)[0], lambda x: x.topk(2, 0)[0].sum(0)):
        report = cl.verify.equivariant(f, x, cl.R(3))
        assert report and report.assumptions == ("exact real arithmetic",)
    place = cl.verify.equivariant(lambda x: x.index_select(0, x.argmax(0)), x, cl.R(3, 3))
    both = cl.verify.equivariant(lambda x: (x.sort(0)[0], x.index_select(0, x.sort(0)[1][0])), x, cl.R(n, 3) @ cl.R(3, 3))
    assert place and both and all("no ties in what is sorted or selected" in r.assumptions for r in (place, both))


class Added(nn.Module):
    def __init__(self, fixed: Tensor) -> None:
        super().__init__()
        self.register_buffer("fixed", fixed)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.get_buffer("fixed")


def test_fixed_numbers_that_are_all_the_same_are_so_for_every_set() -> None:
    x, vectors = cl.space(cl.S(4), 3), cl.space(4, cl.O(3))
    same, other = Added(torch.full((4, 3), 2.0)), Added(torch.arange(12.0).view(4, 3))
    report = cl.verify.equivariant(same, x, x)
    assert report and cl.verify.check(report.certificate or {}, same) and not cl.verify.check(report.certificate or {}, other)
    assert cl.verify.equivariant(Added(torch.zeros(4, 3)), vectors, vectors)
    for module, space in ((same, vectors), (other, x), (other, vectors)):
        assert cl.verify.equivariant(module, space, space).verdict == "refuted"


def test_the_example_of_the_design_is_proved_and_its_mutant_refuted() -> None:
    G = cl.S(n)
    x, h = cl.space(G, 3), G.space(1, channels=8)
    net = cl.equivariant(x, h) >> cl.relu >> cl.equivariant(h, h) >> cl.relu >> cl.equivariant(h, cl.R(1))
    report = cl.verify.equivariant(net, dom=x, cod=cl.R(1), batch=2)
    assert report and "every n ≥ 2" in report.claim and cl.verify.check(report.certificate or {}, net)
    other = cl.equivariant(x, h) >> cl.relu >> cl.equivariant(h, cl.R(1))
    assert not cl.verify.check(report.certificate or {}, other)
    fixed = cl.S(4).space(1, channels=3)
    places = torch.arange(4.0)[:, None]
    mutant = cl.equivariant(fixed, fixed) >> cl.box("numbered", fixed, fixed, torch=lambda x: x + places)
    refuted = cl.verify.equivariant(mutant, dom=fixed, cod=fixed)
    assert refuted.verdict == "refuted" and refuted.where is not None
