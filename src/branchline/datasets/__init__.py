"""Datasets: what a station says about the data it holds, and the only way to read it.

Does: describe tables (schema), propose a description (infer), compare it with what a train
needs (match), hand out exactly the wanted columns (extract), and invent tables of the same
shape (synthetic).
Must not: change a source file, show a data value in a message, or decide who may use what.
May know: the foundation and the ledger's words; nothing of trains, studies or journeys.

pyarrow is imported inside functions only: an idle station must stay small.
"""
