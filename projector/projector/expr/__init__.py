"""Expressions: the served subset of CEL, parsed and type-checked once, then compiled to Python source.

`parse` text into an `Ast`, `check` its types, `generate` the source fragment that the fold's functions are made of.
"""
