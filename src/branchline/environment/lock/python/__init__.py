"""Python's part of a lock, resolved by uv.

Does: ask uv for a ``pylock.toml`` of wheels, read it, fetch the wheels.
Must not: build a source distribution, or run anything of a package.
"""
