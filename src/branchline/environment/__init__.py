"""Say what a train runs on, and show it to the sandbox.

The room describes this machine's own Python environment with a digest, and turns a description
into the mounts of a sandbox. It must not run train code or decide whether an environment is good
enough (the study does). It may know the foundation and the sandbox's `EnvironmentMount`.
"""
