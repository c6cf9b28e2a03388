"""Git and git-annex as programs: called with a clean environment, read through stable formats.

`command` runs git by `calling` it, `settings` judges what a repository's own configuration asks for,
`annex` runs git-annex, `keys` knows its names and places, `largefiles` its rule of what it takes.
`reading` reads many files, `intake` puts them into the annex, half of them in a double of the process
(`doubling`), `telling` tells git and git-annex of them; `packing` has git hold many small files, and
`objects` reads what git has.
"""
