"""Decide whether what a train puts out may leave the station.

The room checks outputs against their declared rules (minimum group, suppression, dominance,
degrees of freedom, copies of records, hidden bytes) and turns findings into a release decision.

It must not read or write anything, know the time, or tell the requester more than a fixed sentence.
It may know the foundation, the declared rules, the payload and the tables that were bound.
"""
