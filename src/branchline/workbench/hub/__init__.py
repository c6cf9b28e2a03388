"""A person's projects at a hub: publish, share, copy and delete them; bring them there and back.

Does: sign what is done to hosted projects; make a clone's remote ``hub``, with a helper that gets git a
short-lived token for each call; push, clone, and carry content.
Must not: write a token into an address, a file or a log; merge (that is the project's).
"""
