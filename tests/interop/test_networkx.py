"""What would be lost on the way to networkx: counted, and run in topological order."""

import networkx as nx
import pytest
import torch

import catlearn as cl
from tests.strategies import random_term

H = cl.R(6)


def net():
    block = cl.copy(H) >> (cl.linear(H, H) >> cl.gelu) @ cl.id(H) >> cl.add(H)
    return cl.linear(cl.R(4), H).named("stem") >> cl.repeat(3, block).named("body") >> cl.linear(H, cl.R(5)).named("head")


def by_kind(graph, kind):
    return [key for key, data in graph.nodes(data=True) if data["kind"] == kind]


def test_counts_are_those_of_the_term():
    graph, term = cl.to_networkx(net()), net()
    assert [len(by_kind(graph, kind)) for kind in ("op", "param", "input", "output")] == [11, 10, 1, 1]
    assert graph.number_of_edges() == 5 * 3 + 3 + 3 * 2 + 1  # five linears, three gelus, three sums, the output
    assert {data["name"] for key, data in graph.nodes(data=True) if key[0] == "param"} == set(term.params)
    assert nx.is_directed_acyclic_graph(graph)
    assert graph.nodes["op", 1]["scope"] == ("body", "0") and graph.nodes["op", 1]["source"].file == __file__


def evaluated(graph, inputs, params):
    """Run the graph with nothing but the attributes of its nodes and edges: every op as a term of its own."""
    values = {}
    for key in nx.topological_sort(graph):
        data = graph.nodes[key]
        edges = sorted(graph.in_edges(key, data=True), key=lambda edge: edge[2]["argument"])
        args = [values[source][edge["out"]] for source, _, edge in edges]
        if data["kind"] == "input":
            values[key] = (inputs[data["index"]],)
        elif data["kind"] == "param":
            values[key] = (params[data["name"]],)
        elif data["kind"] == "op":
            dom = cl.Space(tuple(edge["space"][0] for _, _, edge in edges[: data["data"]]))
            box = cl.Box(data["op"], dom, "it")
            own = dict(zip((f"it.{name}" for name in data["op"].param_names), args[data["data"] :], strict=True))
            out = box(*args[: data["data"]], params=own)
            values[key] = out if isinstance(out, tuple) else (out,)
        else:
            values[key] = tuple(args)
    return [values["output", i][0] for i in range(len(by_kind(graph, "output")))]


def test_evaluating_in_topological_order_is_running_the_term():
    term, x = net(), torch.randn(3, 4)
    model = cl.compile(term)
    params = {name.replace("/", "."): p for name, p in model.named_parameters()}
    (found,) = evaluated(cl.to_networkx(term), [x], params)
    assert torch.allclose(found, model(x), atol=1e-6)
    params["head.linear.bias"] = params["head.linear.bias"] + 1
    assert not torch.allclose(evaluated(cl.to_networkx(term), [x], params)[0], model(x), atol=1e-6)


def test_outputs_that_are_inputs_and_outputs_given_twice():
    graph = cl.to_networkx(cl.swap(H, H) >> cl.copy(H @ H))
    assert [next(iter(graph.predecessors(("output", i)))) for i in range(4)] == [("input", 1), ("input", 0)] * 2


def test_an_argument_used_twice_is_two_edges():
    graph = cl.to_networkx(cl.copy(H) >> cl.mul(H))
    assert graph.number_of_edges(("input", 0), ("op", 0)) == 2


def test_state_goes_in_and_out():
    graph = cl.to_networkx(cl.batch_norm(cl.R(3)))
    old, new = by_kind(graph, "state"), by_kind(graph, "new state")
    assert old and [key[1] for key in old] == [key[1] for key in new]
    assert all(nx.has_path(graph, a, b) for a, b in zip(old, new, strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_every_argument_of_a_random_term_is_an_edge(seed):
    term = random_term(seed).term
    for each in (term, cl.reverse(term)):
        graph = cl.to_networkx(each)
        wires = each.graph
        assert graph.number_of_edges() == sum(len(n.args) for n in wires.nodes) + len(wires.outputs) + len(wires.states)
        assert len(by_kind(graph, "op")) == len(wires.nodes) and nx.is_directed_acyclic_graph(graph)
        for _, target, edge in graph.in_edges((("op", i) for i in range(len(wires.nodes))), data=True):
            assert wires.nodes[target[1]].args[edge["argument"]] == edge["wire"]
