"""The ground floor: identifiers, digests, canonical JSON, clock, errors, keys, sealing, storage, HTTP.

Knows no word of the domain (no train, no station, no study) and imports no other room.
Each module stands alone; import the module you need, nothing is re-exported here.
"""
