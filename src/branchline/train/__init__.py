"""Trains: an analysis as an immutable, signed bundle of code, contract and entry points.

Does: read ``train.toml`` (manifest), write and open bundles (bundle, archive), check parameters
against the train's own JSON Schema (parameters), and begin new trains (template).
Must not: run any of a train's code, or trust a byte of a bundle before it is checked.
May know: datasets (what a train needs), disclosure (what it may put out), the foundation.
"""
