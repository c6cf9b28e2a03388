"""Git and git-annex as programs: called with a clean environment, read through stable formats.

`command` runs git, `settings` judges what a repository's own configuration asks for, `annex` runs
git-annex, `keys` knows its names and places, `largefiles` its rule of what it takes. `reading` reads
many files, `intake` puts them into the annex, `telling` tells git and git-annex of them; `objects`
reads what git has.
"""
