"""Merging: another line of work comes into this one, file by file, and nothing of either is lost.

The merge is worked out in git's database alone. Until every conflict has its answer, the folder and
the branch are as they were; then all of it lands at once, in one commit with a signed record.
"""
