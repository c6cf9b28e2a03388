"""The errors of this room.

BranchlineError
└── Refused
    ├── SchemaRefused     a description is not one: unknown type, code without codes, …
    ├── SourceRefused     a file cannot be read as the schema says
    ├── ValuesRefused     values lie outside the schema (told by count, never by value)
    └── ContractRefused   a dataset is not what a train needs (carries the differences)
Conflict
└── SourceChanged         a source file is no longer the one that was registered
"""

from branchline.foundation.errors import Conflict, Refused


class SchemaRefused(Refused):
    """A schema, a contract's table or a use term is not well formed."""


class SourceRefused(Refused):
    """A source file cannot be read as its schema says."""


class ValuesRefused(Refused):
    """Values in a source file lie outside the declared schema."""


class ContractRefused(Refused):
    """A dataset does not offer what a contract needs."""


class SourceChanged(Conflict):
    """A source file differs from the one that was registered."""
