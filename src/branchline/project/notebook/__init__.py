"""What runs in notebooks: every cell a kernel runs becomes a record, errors too, unasked.

`cells` turns a kernel's messages into cells (pure), `details` a cell into a record's parts, `tap` listens to
kernels, `wire` reads what they say, `recording` writes what they ran into the project.
"""
