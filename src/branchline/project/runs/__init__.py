"""Commands, run and put on record; repeated in a scratch copy, and compared.

`process` starts one and listens, `places` says in what it runs, `run` puts it on record, `datalad`
reads DataLad's records, `scratch` lays out a copy, `rerun` repeats, `compare` gives the verdicts.
"""
