"""What an experiment's programs cost on devices that needn't be there, by the compiler."""
