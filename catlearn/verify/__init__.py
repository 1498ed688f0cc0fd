"""Checking: ``laws`` holds the law suite, for terms and for boxes of your own.

>>> import catlearn as cl
>>> from catlearn.verify import laws
>>> bool(laws.check(cl.relu(cl.R(2)), trials=2))
True
"""

from catlearn.verify import laws

__all__ = ["laws"]
