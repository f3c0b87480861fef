"""Proofs of gradients, and gradients that are wrong on purpose."""

__all__ = ()
