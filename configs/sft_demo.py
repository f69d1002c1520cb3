"""The demo: a decoder of 1 M parameters trained from scratch on the embedded problems, English and Chinese.

    dsmath demo

Hardware: 2 CPU cores, about 10 minutes. It learns to copy numbers into a program after some 400 steps. Expected
accuracy at the end: 67% to 78% with tools, a few percent by chain of thought, which can't do the arithmetic.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    c = ConfigDict()
    c.seed = 0

    c.model = ConfigDict()
    c.model.vocab_size = 2816
    c.model.hidden_size = 128
    c.model.intermediate_size = 384
    c.model.num_layers = 3
    c.model.num_heads = 4
    c.model.num_kv_heads = 4
    c.model.head_dim = 32
    c.model.rope_theta = 1000.0
    c.model.norm_eps = 1e-6
    c.model.tie_embeddings = True
    c.model.max_positions = 512

    c.start = ConfigDict()
    c.start.weights = "random"
    c.start.tokenizer = "train"
    c.start.template = "reference"

    c.mesh = ConfigDict()
    c.mesh.data = 1
    c.mesh.fsdp = 1
    c.mesh.tensor = 1

    c.data = ConfigDict()
    c.data.sources = ("embedded",)
    c.data.modes = ("cot", "tool")
    c.data.embedded_problems = 12_000
    c.data.row_length = 256
    c.data.packing_bins = 16

    c.train = ConfigDict()
    c.train.steps = 1200
    c.train.batch_rows = 16
    c.train.microbatches = 2
    c.train.learning_rate = 4e-3
    c.train.warmup_steps = 50
    c.train.beta1 = 0.9
    c.train.beta2 = 0.95
    c.train.weight_decay = 0.0
    c.train.clip_norm = 1.0
    c.train.remat = False
    c.train.loss_on_tool_output = False
    c.train.checkpoint_every = 200
    c.train.keep_checkpoints = 2

    c.eval = ConfigDict()
    c.eval.suites = ("embedded",)
    c.eval.modes = ("cot", "tool")
    c.eval.protocol = "reference"
    c.eval.samples = 1
    c.eval.limit = 300
    c.eval.slots = 32
    c.eval.cache_length = 512
    c.eval.decode_steps = 8
    c.eval.max_new = 160
    c.eval.rounds = 2
    c.eval.temperature = 0.0
    c.eval.top_p = 1.0
    c.eval.top_k = 0
    c.eval.grader = "reference"

    c.sandbox = ConfigDict()
    c.sandbox.timeout_s = 5.0
    c.sandbox.memory_mb = 512
    c.sandbox.output_kb = 64
    c.sandbox.workers = 2
    c.sandbox.required_level = "L1"
    return c
