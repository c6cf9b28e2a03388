"""Say what is permitted: studies, the decisions about them, and the gates a journey must pass.

The room reads study documents strictly, replays decisions into a state, matches use terms with the
purpose, and evaluates gates over facts that are handed in, at central and at each station alike.

It must not read or write anything or know the time; where a rule cannot be evaluated, it says no.
It may know the foundation only.
"""
