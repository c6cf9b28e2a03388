"""What came of mutants, kept in a file while they are tried."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path

from tests.ledger.forking import BROKEN
from tests.ledger.mutating import Mutant, MutantName, module_file
from tests.ledger.trials import UNNOTICED


class Outcomes:
    """Which mutants were noticed.

    Args:
        file: Where; what was noticed there, of the same text of its module, is not tried again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._noticed: dict[tuple[str, MutantName], bool] = {}
        self.read()

    def read(self) -> None:
        """Take in what was written, by other processes too."""
        for line in self._file.read_text().splitlines() if self._file.exists() else ():
            text, name, noticed = json.loads(line)
            self._noticed[text, MutantName(*name)] = noticed

    def tell(self, mutant: Mutant, code: int | None) -> None:
        """Write down how the child ended that tried a mutant."""
        if code == BROKEN:
            raise RuntimeError(f"{mutant.name} could not be tried")
        line = json.dumps([_text(mutant.name.module), mutant.name, code != UNNOTICED])
        with self._file.open("a") as file:
            file.write(line + "\n")

    def noticed(self, mutant: Mutant) -> bool | None:
        """Tell whether a mutant was noticed; None if nobody tried."""
        return self._noticed.get((_text(mutant.name.module), mutant.name))


@cache
def _text(module: str) -> str:
    """Return the digest of a module's text."""
    return sha256(module_file(module).read_bytes()).hexdigest()
