"""Switching among many adapters of many layers: compiled models, exported programs, batches of mixed samples, against plain torch."""

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

import catlearn as cl
from catlearn import adapters as ad
from tests.adapters.scattered import scattered

LAYERS, NAMES = 24, [f"task{k}" for k in range(8)]
X = torch.randn(6, 16, generator=torch.Generator().manual_seed(3))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(16, 16)

    def forward(self, x):
        return x + torch.tanh(self.up(x))


def model(adapters, layers=LAYERS):
    """Blocks with these adapters, trained numbers random."""
    torch.manual_seed(0)
    net = nn.Sequential(*(Block() for _ in range(layers)))
    for name, adapter in adapters.items():
        cl.adapt(net, adapter, name=name)
    return scattered(net, 0.2).eval()


def by_hand(net, numbers, x=X):
    """What LoRA adapters compute, summed with numbers, without anything of the library's."""
    for block in net:
        W = block.up._parameters["weight"].detach()
        for name, n in numbers.items():
            cell = block.up.adapters["weight"][name]
            W = W + n * (cell.B @ cell.A).detach()
        x = x + torch.tanh(x @ W.t() + block.up.bias)
    return x


@pytest.fixture
def counted():
    """A compiler that counts how often it is called."""
    torch._dynamo.reset()
    yield CompileCounterWithBackend("eager")
    torch._dynamo.reset()


def near(a, b):
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_next_adapter_of_a_method_is_not_compiled_anew(counted):
    net = model({**dict.fromkeys(NAMES, ad.LoRA(2)), "wide": ad.LoRA(3), "turn": ad.HRA(2)})
    run, seen = torch.compile(net, fullgraph=True, backend=counted), []
    for name in (*NAMES, *NAMES[::-3]):
        ad.activate(net, name)
        y = run(X)
        assert near(y, by_hand(net, {name: 1.0})) and counted.frame_count == 1
        seen.append(y)
    assert not any(near(a, b) for k, a in enumerate(seen[:8]) for b in seen[:k])
    for numbers, count in (
        (dict.fromkeys(NAMES[:3], 0.5), 2),  # a sum is another code,
        (dict.fromkeys(NAMES[4:7], 0.5), 2),  # which any three share,
        (dict.fromkeys(NAMES[:3], 0.25), 3),  # with these numbers
        ({"wide": 1.0}, 4),  # another rank
        ({NAMES[0]: 1.0}, 5),  # a sum of one is not written as a stack of one
    ):
        ad.activate(net, numbers)
        assert near(run(X), by_hand(net, numbers)) and counted.frame_count == count
    with ad.disabled(net):
        assert near(run(X), by_hand(net, {})) and counted.frame_count == 6
    ad.activate(net, "turn")
    assert near(run(X), net(X)) and counted.frame_count == 7
    ad.activate(net, NAMES[5])
    assert near(run(X), by_hand(net, {NAMES[5]: 1.0})) and counted.frame_count == 7  # what was compiled is kept
    cl.merge(net)
    assert near(run(X), by_hand(cl.unmerge(net), {NAMES[5]: 1.0})) and counted.frame_count == 7  # merged, it is the base's code


def test_a_stack_of_two_is_compiled_once_for_all_pairs_and_follows_training(counted):
    net = model({**dict.fromkeys(NAMES, ad.LoRA(2)), "turn": ad.HRA(2), "twist": ad.HRA(2)})
    run = torch.compile(net, fullgraph=True, backend=counted)
    for pair in ((NAMES[0], NAMES[1]), (NAMES[6], NAMES[2])):
        ad.activate(net, pair)
        assert near(run(X), by_hand(net, dict.fromkeys(pair, 1.0))) and counted.frame_count == 1
    outputs = []
    for pair, count in (((NAMES[0], "turn"), 2), ((NAMES[3], "twist"), 2), (("turn", NAMES[0]), 3)):
        ad.activate(net, pair)
        outputs.append(run(X))
        assert near(outputs[-1], net(X)) and counted.frame_count == count
    assert not near(outputs[0], outputs[2])  # the order matters, and was not shared
    for name in NAMES[:3]:
        ad.activate(net, name)
        before = run(X).detach()
        run(X).square().sum().backward()
        with torch.no_grad():
            for p in net.parameters():
                if p.grad is not None:
                    p -= 1e-3 * p.grad
                    p.grad = None
        assert near(run(X), by_hand(net, {name: 1.0})) and not near(run(X), before) and counted.frame_count == 4


def test_samples_of_a_batch_go_each_through_its_own_adapter_in_every_layer(counted):
    net = model(dict.fromkeys(NAMES, ad.LoRA(2)))
    run = torch.compile(net, fullgraph=True, backend=counted)
    for count, names in enumerate(
        (["task0", None, "task7", "task3", "task0", "task5"], ["task6", "task6", None, None, "task1", "task2"]), 1
    ):
        with ad.per_sample(net, names):
            for y in (net(X), run(X)):
                for row, name in enumerate(names):
                    assert near(y[row], by_hand(net, {} if name is None else {name: 1.0}, X[row]))
            assert counted.frame_count == count  # one code for each list of names
    shifted = by_hand(net, {"task1": 1.0}, X[0])
    assert not near(y[0], shifted)  # a mutant: the names moved by one sample
    ad.activate(net, "task4")
    assert near(run(X), by_hand(net, {"task4": 1.0}))


def test_exported_programs_are_snapshots_of_what_was_active():
    net = model(dict.fromkeys(NAMES, ad.LoRA(2)))
    kept = {}
    for name in ("task0", "task6"):
        ad.activate(net, name)
        program = torch.export.export(net, (X,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
        kept[name] = program.module(), by_hand(net, {name: 1.0})
        used = {key for key, t in program.state_dict.items() if ".adapters." in key and f".{name}." in key}
        assert len(used) == 2 * LAYERS
    ad.activate(net, "task1")
    for run, want in kept.values():
        assert near(run(X), want) and near(run(X[:3]), want[:3]) and not near(run(X), net(X))
    cl.remove(net)
    assert all(near(run(X), want) for run, want in kept.values())


def test_compiled_layers_that_read_their_weights_follow_a_switch_too(counted):
    torch.manual_seed(0)
    net = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, dropout=0.0)
    for name in NAMES:
        cl.adapt(net, ad.LoRA(2), name=name)
    for p in net.parameters():
        if p.requires_grad:
            nn.init.normal_(p, std=0.3)
    x, seen = torch.randn(2, 5, 8), []
    run = torch.compile(net, fullgraph=True, backend=counted)
    for name in NAMES:
        ad.activate(net, name)
        seen.append(run(x))
        assert near(seen[-1], net(x)) and counted.frame_count == 1
    assert not near(seen[0], seen[1])
