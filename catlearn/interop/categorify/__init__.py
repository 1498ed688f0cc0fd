"""``categorify``: an existing ``torch.nn.Module`` as a term, to be drawn, explained, costed, edited and compiled back.

``trace`` → ``modes`` (both modes laid over each other) → ``read`` (calls to boxes, by ``table``) → ``scopes`` (the tree of modules)
→ ``build`` (the term). What has no box is one ``aten`` op.
"""

from catlearn.interop.categorify.coverage import Coverage, coverage
from catlearn.interop.categorify.main import categorify

__all__ = ["Coverage", "categorify", "coverage"]
