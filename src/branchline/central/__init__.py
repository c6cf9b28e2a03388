"""The meeting point: registry of parties, studies and trains; routes; parcels; the ledger.

Semi-trusted: it can delay, but with its whole disk and database it cannot read a parcel, forge an
act or rewrite history unnoticed. Knows the journey and everything below; a stranger to the station
and the workbench.
"""
