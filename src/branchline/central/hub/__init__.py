"""Projects that central hosts: who may do what with them, their git, and their content.

Does: take acts upon hosted projects in; serve git and git-annex over HTTP to whoever may; judge what
is pushed, and put on the ledger what content passes before its first byte does.
Must not: run anything that a project names; take a client's word for what is where.
May know: projects, and all that central does.
"""
