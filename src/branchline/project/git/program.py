"""How git calls this program: from a project's folder, of which nothing may be run."""

from __future__ import annotations

import sys

OURS = (sys.executable, "-P", "-m", "branchline")
"""Without ``-P`` Python would look for its modules in the folder it is called from first."""
