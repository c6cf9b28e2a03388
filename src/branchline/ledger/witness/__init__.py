"""What a witness does: cosign only what continues everything it cosigned before, and keep a mirror.

``decision`` is the rule, pure; ``wire`` spells requests and answers (C2SP tlog-witness); ``store``
remembers durably what was cosigned; ``witness`` puts them together, without any HTTP. ``mirror``
holds the entries and tiles of a log, recomputed from the entries, and ``statements`` makes the tag
trees anew that entries state; ``monitor`` compares a checkpoint that somebody kept with what a log
shows now. ``home`` and ``service`` make a program of its own of a witness that is no station;
``standing`` says who vouched for what, and when.

Must not: cosign before it is durable what was decided; take a log's word for a hash it can compute.
May know: ``ledger/proof``, and the files and tiles of the ledger.
"""
