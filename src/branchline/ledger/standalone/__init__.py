"""The verifier that an auditor's package carries: one file, the Python standard library only.

Must not: import anything of Branchline or of anybody else; read or write anything but the package.
May know: the formats, which it implements a second time.
"""
