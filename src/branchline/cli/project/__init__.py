"""``branchline init``, ``save``, ``log``, ``run`` …: the researcher's project."""
