"""Detect what people already have: which spec files count, and what they amount to.

Every file that Binder understands is read strictly, in repo2docker's order of precedence (version
2026.4.0). Where the rules differ on purpose, ``differences`` lists it.

Does: turn a tree (path to bytes) into ``Detected``, the input of the lock.
Must not: execute or fetch anything, ask what a registry has, or guess at what it cannot read.
May know: the foundation. Only ``tree.read_tree`` touches a disk; the rest is bytes in, values out.
"""

from __future__ import annotations

from branchline.environment.spec.detect import detect
from branchline.environment.spec.detected import Detected, Suggestion
from branchline.environment.spec.refusal import SpecRefused
from branchline.environment.spec.tree import Tree, read_tree

__all__ = ["Detected", "SpecRefused", "Suggestion", "Tree", "detect", "read_tree"]
