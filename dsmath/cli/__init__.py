"""The command line: one small module per verb, and the only place where rooms are wired together."""
