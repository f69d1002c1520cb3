"""Text: tokenizers, prompt templates, and token ids that remember who wrote them."""
