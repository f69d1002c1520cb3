"""Engine: continuous batching on this host's devices. `dsmath.text.generation` says what it answers."""
