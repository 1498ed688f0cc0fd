"""Structured linear maps: the second language. ``>>`` is "then", ``@`` is ⊗, ``+`` is the sum; every map has a transpose."""
