"""Adapters: a method is the weight that it computes, a map over the frozen W and new parameters, and how these start.

**The design.** An adapter rewrites a layer into one that contains it. The usual case acts on the weight: ``weight(W, o, i)`` gives the
adapted weight as an expression of ``catlearn.maps``; what no map can say (a Cayley transform, a softmax over a bank, a kernel) is a leaf
that is *read* off trained tensors by one function. From this expression all else follows:

* the number of parameters and a bound of the rank are those of the expression;
* a stack puts the first adapter's weight where the second says W: order is composition, whatever the methods are;
* a weighted sum is W + Σ nₖ(fₖ(W) − W), exact and without cross terms;
* merging writes the expression out; unmerging puts the kept bits back;
* the planner of ``catlearn.maps`` picks how it meets the activations, forward and backward, for each number of tokens;
* dropout is a place in the expression, so that "what is dropped" is part of the formula;
* LaTeX, the exact matrix, the table in ``docs/`` are meanings of the same expression.

A module stays the object that it is and changes its class; its tensors keep their names, and ``adapters.<tensor>.<name>.<parameter>`` are
added. A network that is a term gets the same expression as a 2-cell on its parameter.

**To write your own**, see ``docs/write-your-own-adapter.md``: a frozen dataclass with ``weight``, ten lines.

>>> import torch, catlearn as cl
>>> model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 4))
>>> tuned = cl.adapt(model, cl.adapters.LoRA(rank=2, alpha=4), where="0")
>>> plain = cl.merge(tuned, keep_base=False)
>>> type(plain[0]).__name__, sorted(plain.state_dict())
('Linear', ['0.bias', '0.weight', '2.bias', '2.weight'])
"""

from catlearn.adapters.algebra import Factors, concatenate, factors, put_factors
from catlearn.adapters.budget import Budget, Importance, allocate, importance, trim
from catlearn.adapters.definition import Adapter, Place, get, names
from catlearn.adapters.diagonals import IA3, RandLoRA, VeRA
from catlearn.adapters.fourier import C3A, FourierFT
from catlearn.adapters.grids import Bone, GraLoRA, MiSS
from catlearn.adapters.low_rank import PEGO, AdaLoRA, AsymmetricLoRA, BiLoRA, DropLoRA, Hydra, LoRA, RsLoRA, SingLoRA
from catlearn.adapters.merging import merge, remove, unmerge
from catlearn.adapters.normed import BoRA, DeLoRA, DoRA, EDoRA
from catlearn.adapters.order import commutator, stacked
from catlearn.adapters.orthogonal import BOFT, HRA, OFT, PSOFT, RoAd
from catlearn.adapters.plans import plan
from catlearn.adapters.positions import tokens
from catlearn.adapters.products import HiRA, LoHa, LoKr, SoKA
from catlearn.adapters.routed import MHR, CPoly, LoReFT
from catlearn.adapters.sharing import MoS, MSPLoRA, VBLoRA
from catlearn.adapters.sites import TiedWeight
from catlearn.adapters.skipped import NoDropout, Skipped
from catlearn.adapters.slots import MergedState
from catlearn.adapters.sparsity import SNELL, SNELLA, SHiRA
from catlearn.adapters.spectral import PMSS, SALT, SVFT, EigenLoRAx, LoLDU, LoRAXS, NoRA, SVFit, VectorFit
from catlearn.adapters.started import EVA, LoRAGA, OLoRA, PiSSA, eva_ranks
from catlearn.adapters.starts import kaiming, normal, read, start
from catlearn.adapters.switching import activate, active, control, disabled, per_sample
from catlearn.adapters.tensors import ConvLoRA, CPLoRA, FLoRA, TLoRA
from catlearn.adapters.triplets import SpectralAdapter, SpectralFT, SpectralRotation

__all__ = [
    "AdaLoRA", "Adapter", "AsymmetricLoRA", "BOFT", "BiLoRA", "BoRA", "Bone", "Budget", "C3A", "CPLoRA", "CPoly", "ConvLoRA", "DeLoRA",
    "DoRA", "DropLoRA", "EDoRA", "EVA", "EigenLoRAx", "FLoRA", "Factors", "FourierFT", "GraLoRA", "HRA", "HiRA", "Hydra", "IA3",
    "Importance", "LoHa", "LoKr", "LoLDU", "LoRA", "LoRAGA", "LoRAXS", "LoReFT", "MHR", "MSPLoRA", "MergedState", "MiSS", "MoS",
    "NoDropout", "NoRA", "OFT", "OLoRA", "PEGO", "PMSS", "PSOFT", "PiSSA", "Place", "RandLoRA", "RoAd", "RsLoRA", "SALT", "SHiRA",
    "SNELL", "SNELLA", "SVFT", "SVFit", "SingLoRA", "Skipped", "SoKA", "SpectralAdapter", "SpectralFT", "SpectralRotation", "TLoRA",
    "TiedWeight", "VBLoRA", "VeRA", "VectorFit", "activate", "active", "allocate", "commutator", "concatenate", "control", "disabled",
    "eva_ranks", "factors", "get", "importance", "kaiming", "merge", "names", "normal", "per_sample", "plan", "put_factors", "read",
    "remove", "stacked", "start", "tokens", "trim", "unmerge",
]  # fmt: skip
