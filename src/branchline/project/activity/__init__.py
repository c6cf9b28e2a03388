"""What was done in a project: one signed JSON file for each action, chained for each clone.

`record` says what a record is and signs it, `chain` verifies (both pure), `files` reads and writes
them in a project, `feed` is what people see.
"""
