"""Run train code that nobody has to trust.

The room starts an engine's session for one stop, enforces its limits, hands payloads in and takes
payloads out. It must not decide what may run (study, train) or what may leave (disclosure), and
it never weakens a limit silently: what an engine cannot enforce it refuses, unless the caller
accepts the weaker mechanism by name. It may know the foundation only. What comes out of a sandbox
is hostile until parsed.

`inside/` is the part that runs within the sandbox; `inside.values` is also the codec every other
room uses for payloads.
"""
