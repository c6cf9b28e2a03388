"""The part of a train that combines the stations' parcels, wherever the study places it.

Opens what was sealed to the journey's key, runs the train's aggregator in a sandbox, and seals what
comes out. Serves central and stations alike; knows neither, and no HTTP.
"""
