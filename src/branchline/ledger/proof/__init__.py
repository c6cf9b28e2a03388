"""What anybody checks a ledger by, offline: hashes and paths, signed notes, policies, receipts.

Bytes in, values or an error out. A second implementation of the ledger's formats would be a second
version of this folder (see docs/formats/ledger.md); it is what a forger has to get past.

Must not: read, write or know the time; believe anything that no signature and no hash covers.
May know: the foundation, and nothing else of the ledger.
"""
