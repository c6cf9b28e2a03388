"""Benchmarks: measured side by side with what people would use otherwise, one command each.

Every program runs as a process of its own, as in life. What is measured is written under
``results/``, which git ignores.
"""
