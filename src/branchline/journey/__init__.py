"""What travels: acts, routes, stops, parcels, and the evidence that comes back with a result.

The life cycles of a journey and of a stop are pure tables; central and the stations execute what
the tables say. Knows trains, studies, disclosure and the ledger; knows no program, opens no socket.
"""
