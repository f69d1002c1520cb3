"""dsmath: an open, complete reproduction of DeepSeekMath-Instruct 7B in JAX.

The way of the data, which is also the order to read the code in:

    raw rows -> Example -> token ids with sources -> packed rows -> train step -> checkpoint
    data/       data/      text/                    data/feed/     train/        train/
                                                                                     |
        report <- scores.jsonl <- score <- trajectories.jsonl <- tool rollout <- engine
        report/                   score/                         rollout/        engine/

Stages meet in files, so that each can be run, resumed and looked at alone. `docs/architecture.md` says which room may
import which.

Arrays carry their axes as a suffix:

    B batch    T query time    S key time     D model        F hidden (feed-forward)
    N query heads    K key/value heads    G query heads per key/value head    H head size
    V vocabulary     L layers      P pages    R stretches of new tokens    W lanes of known tokens
"""

__version__ = "0.1.0"
