"""Diagrams: the pure combinatorics of equivariant linear maps. No tensors here."""
