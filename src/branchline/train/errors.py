"""The errors of this room (see also FormRefused of datasets.forms for mistakes in train.toml).

BranchlineError
├── Refused
│   ├── BundleRefused       a bundle is not one: names, kinds, sizes, form of its files
│   └── ParametersRefused   parameters, or the schema they are checked against
└── Corrupt
    └── BundleCorrupt       a bundle is not the one that was named or signed
"""

from branchline.foundation.errors import Corrupt, Refused


class BundleRefused(Refused):
    """A bundle, or a folder to be packed, is not what a train may be."""


class ParametersRefused(Refused):
    """Parameters do not satisfy their schema, or the schema is not acceptable."""


class BundleCorrupt(Corrupt):
    """A bundle's bytes are not those that were named by digest or signed."""
