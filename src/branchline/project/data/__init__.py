"""A project's data: where they may go, by rules of the project; lists of them; how they end.

`rules` says what ``branchline.toml`` holds of data and places, `judging` what may go where (both pure),
`guard` holds a push against it, before anything is sent.
"""
