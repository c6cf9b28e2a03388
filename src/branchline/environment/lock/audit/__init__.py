"""Hold a lock against what is known of weaknesses in what it names.

Does: read the Debian security tracker's data and Python advisories (OSV), as far as they are at
hand; compare versions; say what was not at hand.
Must not: fetch such data, decide whether a finding matters, or take silence for safety.
"""
