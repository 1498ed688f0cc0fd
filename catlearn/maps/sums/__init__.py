"""Sums of diagrams with channels: what an equivariant layer computes, and the planner that computes it fast."""
