"""Survey many people's spec files: what a base image should contain, and what cannot be read.

Does: read the published Binder launch dataset, or folders of repositories, examine each environment
with the very rules of ``spec``, and report packages, coverage of shared layers, faults and years.
Must not: keep all environments in memory, change what it reads, or let one bad row end the survey.
May know: ``environment.spec`` and the foundation. ``dataset`` and ``folders`` read; ``survey`` runs
them; ``examine``, ``tally`` and ``report`` are pure but for one temporary file.
"""

from __future__ import annotations

from branchline.environment.survey.layers import Layer, parse_layer
from branchline.environment.survey.report import Report
from branchline.environment.survey.survey import survey

__all__ = ["Layer", "Report", "parse_layer", "survey"]
