"""Model: the Llama-family decoder, its cache, and weights in and out."""
