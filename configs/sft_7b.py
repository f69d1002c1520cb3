"""DeepSeekMath-Instruct 7B: the paper's SFT recipe (arXiv 2402.03300, section 3).

    dsmath prepare  --config configs/sft_7b.py --workdir WORKDIR --data_dir DATA
    dsmath train    --config configs/sft_7b.py --workdir WORKDIR --config.start.weights=DEEPSEEK_MATH_BASE
    dsmath evaluate --config configs/sft_7b.py --workdir WORKDIR --data_dir DATA

Hardware: f32 parameters and Adam moments are 83 GB over all devices. 500 steps are 524 M tokens, 2.4e19 FLOP with
attention: by arithmetic 2 h on 8 H100 at 40% MFU. Not run yet, and the data here is GSM8K alone, not the paper's 776K
examples. Accuracy in the paper (Table 5): GSM8K 82.9, MATH 46.8, MGSM-zh 73.2, CMATH 84.6 by chain of thought; 83.7,
57.4, 72.0 and 84.3 with tools.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    c = ConfigDict()
    c.seed = 0

    c.model = ConfigDict()
    c.model.vocab_size = 102_400
    c.model.hidden_size = 4096
    c.model.intermediate_size = 11_008
    c.model.num_layers = 30
    c.model.num_heads = 32
    c.model.num_kv_heads = 32
    c.model.head_dim = 128
    c.model.rope_theta = 10_000.0
    c.model.norm_eps = 1e-6
    c.model.tie_embeddings = False
    c.model.max_positions = 4096

    c.start = ConfigDict()
    c.start.weights = "deepseek-math-7b-base"  # an HF folder
    c.start.tokenizer = "weights"
    c.start.template = "reference"

    c.mesh = ConfigDict()
    c.mesh.data = 1
    c.mesh.fsdp = -1
    c.mesh.tensor = 1

    c.data = ConfigDict()
    c.data.sources = ("gsm8k",)
    c.data.modes = ("cot", "tool")
    c.data.embedded_problems = 0
    c.data.row_length = 4096
    c.data.packing_bins = 64

    c.train = ConfigDict()
    c.train.steps = 500
    c.train.batch_rows = 256
    c.train.microbatches = 1
    c.train.learning_rate = 5e-5
    c.train.warmup_steps = 0
    c.train.beta1 = 0.9
    c.train.beta2 = 0.95
    c.train.weight_decay = 0.1
    c.train.clip_norm = 1.0
    c.train.remat = True
    c.train.loss_on_tool_output = False
    c.train.checkpoint_every = 50
    c.train.keep_checkpoints = 2

    c.eval = ConfigDict()
    c.eval.suites = ("gsm8k", "math", "mgsm_zh", "cmath")
    c.eval.modes = ("cot", "tool")
    c.eval.protocol = "reference"
    c.eval.samples = 1
    c.eval.limit = 0
    c.eval.slots = 64
    c.eval.cache_length = 4096
    c.eval.decode_steps = 16
    c.eval.max_new = 0
    c.eval.rounds = 0
    c.eval.temperature = 0.0
    c.eval.top_p = 1.0
    c.eval.top_k = 0
    c.eval.grader = ""

    c.sandbox = ConfigDict()
    c.sandbox.timeout_s = 10.0
    c.sandbox.memory_mb = 1024
    c.sandbox.output_kb = 64
    c.sandbox.workers = 16
    c.sandbox.required_level = "L1"
    return c
