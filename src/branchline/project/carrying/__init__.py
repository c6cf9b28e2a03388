"""Carrying a whole project in one file: its history, its data's contents, its activity, and back.

The file is a zip that any program opens: ``history.bundle`` is git's own form of a repository,
``annex/`` holds contents by git-annex's names, ``branchline-export.json`` says what is in it and what
is not. With ``files/`` and ``ro-crate-metadata.json`` it is an RO-Crate, too.
"""
