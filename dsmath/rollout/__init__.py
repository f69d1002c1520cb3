"""Rollout: the loop of model and program, protocols of tool use, and the evaluation of a suite."""
