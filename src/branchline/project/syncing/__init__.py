"""Syncing: save, bring what is elsewhere, merge, and send; with any git repository, by any of its ways.

What is brought waits apart until it has been looked through. A sync that stops - for a conflict, a
broken connection, a history that somebody rewrote - leaves nothing half done, and the next goes on.
"""
