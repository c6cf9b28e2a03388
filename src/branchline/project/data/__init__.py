"""A project's data: where they may go, by rules of the project; lists of them; how they end.

`rules` says what ``branchline.toml`` holds of data and places, `judging` what may go where (both pure),
`guard` holds a push against it, before anything is sent. `keys` makes and shares the key that names
confidential contents. `lists` are named, numbered and never changed; `origin` names them in a train,
`tracing` holds a train against the project. `dropping` removes contents, with a receipt.
"""
