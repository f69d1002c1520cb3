"""What is counted from verdicts: accuracies and their intervals, tests, breakdowns, outcomes, samples."""
