"""A server that speaks OpenAI's API, as a generator: HTTP, when to ask again, what is said and how it is read."""
