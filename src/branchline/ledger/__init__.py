"""The ledger: an append-only log of sealed entries, and offline proofs that an entry is in it.

A C2SP tlog-tiles log: leaves in one SQL table, hash tiles and entry bundles as static files, and
a checkpoint (signed-note) over them, cosigned by witnesses. A receipt proves an entry without
asking anybody.

``proof/`` is what anybody checks it by, ``witness/`` what a witness does; the log, its files and
its entries are in this folder itself. ``entry`` seals fields, ``classes`` and ``grants`` say who
may open them; ``topics``, ``tagtree`` and ``completeness`` show that nothing is missing;
``package`` puts everything together for an auditor, with a verifier (``standalone/``) that needs
none of this.

Must not: know what an entry says (no train, no study), decide who may append, or publish a
checkpoint over bytes it has not read back from disk.
May know: the foundation. Only ``files``, ``rows``, ``log``, ``witness/store``, ``witness/home``,
``witness/service``, ``package_check`` and ``standalone`` touch disk, database or network;
``stored``, ``audit``, ``completeness`` and ``package`` read through a function they are given, and
everything else is bytes in, values out.
"""
