"""What an experiment consists of, known while Snakemake parses.

It needs nothing but the standard library, PyYAML and jsonschema.
"""
