"""Engine: continuous batching on this host's devices. `dsmath.text.generator` says what it answers."""
