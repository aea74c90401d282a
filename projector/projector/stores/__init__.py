"""Stores: the targets that read models live in, one package per kind."""
