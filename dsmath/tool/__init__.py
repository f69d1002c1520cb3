"""Tools: the sandbox that runs model-written programs, and the rollout that lets a model use it."""
