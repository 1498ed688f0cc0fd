"""Checking: proofs that a network is equivariant, and the law suite.

``equivariant`` proves, refutes, or says that it does not know; ``check`` re-checks a certificate without the prover; ``equal`` and
``commutes`` compare terms; ``laws`` holds the law suite, for terms and for boxes of your own.

>>> import catlearn as cl
>>> from catlearn.verify import laws
>>> bool(laws.check(cl.relu(cl.R(2)), trials=2))
True
"""

from catlearn.verify import laws
from catlearn.verify.checking import check
from catlearn.verify.equal import commutes, equal
from catlearn.verify.prove import equivariant
from catlearn.verify.report import Report

__all__ = ["Report", "check", "commutes", "equal", "equivariant", "laws"]
