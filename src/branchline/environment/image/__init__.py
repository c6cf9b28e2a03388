"""Build root filesystem images from a lock, keep them, verify them, move them.

The room turns a lock and the pools of `.deb` files and wheels into layers and an image whose digest
depends on the lock alone; it stores contents once, lays trees out of them, and checks these before
they are used. It must not resolve or fetch packages, run train code, or accept a byte that is not
what the lock or a digest names. It may know the locks, and the foundation.
"""
