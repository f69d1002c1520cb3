"""The grader `strict`: which answer a response gives, as it is written. `dsmath.answers` compares."""
