"""Checks: what is expected of data and models, and whether it holds.

Does: read ``checks.toml``; hold tables against expectations (with pandera) and metrics against floors
and drift; say which required checks a state of a project does not meet.
Must not: run a program; tell a value of a row; decide what is done about a failure.
May know: datasets (reading tables, their columns), the foundation. No project, no journey.
"""
