"""The demonstration: one real trial, four hospitals, two trains, a verified result.

Starts central and the stations as separate programs and is the researcher among them. Knows
every room below it; nothing but the command line knows it. It may read the whole trial in one
place, which nobody else ever does: to cut it up, and to compare with the pooled analysis.
"""
