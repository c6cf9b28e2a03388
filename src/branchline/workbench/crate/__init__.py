"""A finished journey as a signed Five Safes RO-Crate, for people and tools that do not know Branchline.

Does: describe a verified result folder in the terms of RO-Crate, Five Safes and W3C PROV, and pack
it as one file (BagIt in ZIP, RFC 8493), signed by whoever exports it.
Must not: invent anything the evidence does not say, or export a result that does not verify.
"""
