"""What conda's packages want done before a command: their variables, and scripts of activation.

Whoever activates an environment with conda gets these, and programs of some packages do not work
without. The scripts are bash's; they run inside the sandbox, as the command that follows does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from branchline.environment.image.recipe import CONDA
from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import Refused

_SCRIPTS, _VARIABLES = f"{CONDA}/etc/conda/activate.d", f"{CONDA}/etc/conda/env_vars.d"
# The scripts see no words of the command, and cannot lose them.
_ACTIVATE = (
    f'words=("$@"); set --; for script in /{_SCRIPTS}/*.sh; do . "$script"; done; '
    'exec -- "${words[@]}"'
)


def words_before(root: Path) -> tuple[str, ...]:
    """Return the words with which every command line of an image begins; none where none must.

    Args:
        root: The image's root filesystem.
    """
    there = any((root / _SCRIPTS).glob("*.sh"))
    return ("/bin/bash", "-c", _ACTIVATE, "activate") if there else ()


def variables(root: Path) -> Mapping[str, str]:
    """Return the variables that conda would set, in the order of the files that say so.

    Raises:
        Refused: A file is no table of variables.
    """
    found = {"CONDA_PREFIX": f"/{CONDA}"}
    for file in sorted((root / _VARIABLES).glob("*.json")):
        try:
            found |= decode_json(file.read_bytes(), dict[str, str])
        except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
            raise Refused(
                f"/{_VARIABLES}/{file.name} is to say variables that conda sets, and does not",
                advice="Leave the package out that has the file, or take another version of it",
            ) from error
    return found
