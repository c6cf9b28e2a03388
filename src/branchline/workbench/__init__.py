"""The researcher's side: identity, studies, trains, journeys and their results.

Does: keep the researcher's folder, talk to central as that person (``client``), write result
folders (``results``), and run trains on invented data (``trial``).
Must not: open what was sealed to others, or trust central's word where a signature can be checked.
May know: the journey and everything below; a stranger to central and the station.
"""
