"""The grader `reference`: the DeepSeekMath authors' evaluation code, quirks included."""
