"""GSM8K's calculator annotations, and the sentences around them, as programs."""
