"""dsmath's command line, which counts processes as gone after a second without news: what the kill tests run."""

from dsmath.cli import main
from dsmath.rollout import evaluation

if __name__ == "__main__":
    evaluation.SILENCE_S = 1.0
    evaluation.POLL_S = 0.1
    main.main()
