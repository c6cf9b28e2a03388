"""Projects: one git repository with code, data, environment and a signed history of what was done.

Does: begin, adopt, clone and save projects on plain git and git-annex; keep the activity (what was
done, by whom, with which outcome) as signed records; run commands, and repeat them to compare.
Must not: run any program that a repository names (hooks, filters, drivers); rewrite history; keep
anything in a form that ``git``, ``git annex`` and ``cat`` cannot read.
May know: environments and the sandbox (what a command runs in), the foundation. No program.
"""
