"""What a network computes, as a short text that is the same in every process: by it a checkpoint knows the network it belongs to.

Law: equal terms have equal digests. Where parameters start does not count, for a resumed run starts from its file; of a Python
function only the name counts, for nothing else of it can be written; an expression in words counts.

>>> import catlearn as cl
>>> net = cl.linear(cl.R(3), cl.R(3))
>>> digest((net >> cl.tanh).graph) == digest((net >> cl.tanh).graph), digest((net >> cl.tanh).graph) == digest((net >> cl.relu).graph)
(True, False)
>>> boxes((net >> cl.tanh).graph)
'1 linear, 1 tanh'
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter

from safetensors.torch import save

from catlearn.boxes.custom import Custom
from catlearn.core.graph import Graph
from catlearn.core.op import Op
from catlearn.interop.files import TermWriter


def digest(graph: Graph) -> str:
    """Of ops with their attributes, wires and the names of parameters, states and nodes (a random box draws by its name)."""
    writer = TermWriter()
    wires = [writer.wire(wire) for wire in graph.wires]
    nodes = [[writer.op(node.op), node.args, node.outs, node.name, node.data, *_expression(node.op)] for node in graph.root.nodes()]
    ends = [graph.inputs, graph.outputs, list(graph.param_wires.items()), list(graph.state_wires.items())]
    trained = [name for name, param in graph.params.items() if param.trainable]
    text = json.dumps([wires, nodes, ends, trained, writer.tables(), writer.nodes])
    found = hashlib.blake2b(text.encode(), digest_size=8)
    found.update(save(writer.tensors))
    return found.hexdigest()


def _expression(op: Op) -> list[str]:
    """The rule of a user's box if it is a text."""
    return [op.rule] if isinstance(op, Custom) and isinstance(op.rule, str) else []


def boxes(graph: Graph) -> str:
    """How many boxes of each name there are."""
    counts = Counter(node.op.name for node in graph.root.nodes())
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
