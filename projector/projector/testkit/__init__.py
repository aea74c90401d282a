"""Tests of a Projection (`spec.tests`), run on the product's own fold with a table in memory: no log, no database."""
