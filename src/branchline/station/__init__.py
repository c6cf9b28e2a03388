"""The hospital's side: the data, the sandbox, and the decisions about what may leave.

Opens outbound connections only, and alone decides. Knows the journey and everything below; a
stranger to central and the workbench.
"""
