"""What runs inside the sandbox, beside the train's code.

This folder is bound read-only into every sandbox, so its modules import the standard library,
numpy, pyarrow and each other (relatively), and nothing else of Branchline.
"""
