"""What the benchmark's stations and central allow: room for models of 100 MB on a small table."""

from __future__ import annotations

from branchline.disclosure.rules import Thresholds
from branchline.sandbox.limits import Limits

ROOMY = Limits(memory_bytes=2 << 30, output_bytes=256 << 20)
"""Everything is enforced as always; only the room is larger."""

LENIENT = Thresholds(
    dof=0,
    parameters_per_row=1e9,
    values_per_row=1e9,
    journey_values_per_row=1e9,
    output_bytes=256 << 20,
)
"""All checks run; those that compare the model's size with the number of records always pass."""
