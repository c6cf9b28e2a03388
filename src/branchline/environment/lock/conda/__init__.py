"""Conda's packages in a lock: channels, choosing exact packages, and fetching them by hash.

The library rattler reads channels and chooses; nothing of a package is run.
"""
