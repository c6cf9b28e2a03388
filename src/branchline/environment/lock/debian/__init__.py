"""Debian's part of a lock, resolved and fetched by apt.

Does: read which mirrors the machine's apt has, let apt choose packages in a root of its own, look
hashes up in the verified lists, name who signed, fetch ``.deb`` files.
Must not: install or unpack anything, or touch the machine's own apt.
"""
