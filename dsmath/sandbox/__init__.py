"""Sandbox: programs that nobody read, in processes that can do no harm. docs/sandbox.md says how."""
