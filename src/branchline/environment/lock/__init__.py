"""Lock an environment: from what people ask for to exact versions and hashes of everything.

Does: resolve Debian packages with apt and Python distributions with uv, from the mirrors and
indexes of the machine's own configuration; write and read ``branchline.lock``; fetch what a lock
names into pools by its SHA-256; compare, audit and list (SBOM) what is locked.
Must not: build or run an image, execute anything of a package, let a person's text reach a shell,
or write a mirror's or an index's host into a lock.
May know: ``environment.spec`` (what was detected) and the foundation.
"""
