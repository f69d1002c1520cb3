"""SmolLM2-135M-Instruct on GSM8K: chain of thought and tool-integrated solutions made of the calculator annotations.

    dsmath prepare  --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --data_dir DATA
    dsmath evaluate --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --data_dir DATA --step 0
    dsmath train    --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2
    dsmath evaluate --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --data_dir DATA

Hardware: 2 CPU cores, about half a minute a step when they are idle; what was reached stands in docs/results.md. An
epoch is about 850 steps.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    c = ConfigDict()
    c.seed = 0

    c.model = ConfigDict()
    c.model.vocab_size = 49_152
    c.model.hidden_size = 576
    c.model.intermediate_size = 1536
    c.model.num_layers = 30
    c.model.num_heads = 9
    c.model.num_kv_heads = 3
    c.model.head_dim = 64
    c.model.rope_theta = 100_000.0
    c.model.norm_eps = 1e-5
    c.model.tie_embeddings = True
    c.model.max_positions = 8192

    c.start = ConfigDict()
    c.start.weights = "smollm2"
    c.start.tokenizer = "weights"
    c.start.template = "chatml"

    c.mesh = ConfigDict()
    c.mesh.data = -1
    c.mesh.fsdp = 1
    c.mesh.tensor = 1

    c.data = ConfigDict()
    c.data.sources = ("gsm8k",)
    c.data.modes = ("cot", "tool")
    c.data.embedded_problems = 0
    c.data.row_length = 512
    c.data.packing_bins = 32

    c.train = ConfigDict()
    c.train.steps = 150
    c.train.batch_rows = 8
    c.train.microbatches = 4
    c.train.learning_rate = 3e-4
    c.train.warmup_steps = 10
    c.train.beta1 = 0.9
    c.train.beta2 = 0.95
    c.train.weight_decay = 0.0
    c.train.clip_norm = 1.0
    c.train.remat = False
    c.train.loss_on_tool_output = False
    c.train.checkpoint_every = 10
    c.train.keep_checkpoints = 2

    c.eval = ConfigDict()
    c.eval.suites = ("gsm8k",)
    c.eval.modes = ("cot", "tool")
    c.eval.protocol = "reference"
    c.eval.samples = 1
    c.eval.limit = 100
    c.eval.slots = 16
    c.eval.cache_length = 1024
    c.eval.decode_steps = 8
    c.eval.max_new = 256
    c.eval.rounds = 2
    c.eval.temperature = 0.0
    c.eval.top_p = 1.0
    c.eval.top_k = 0
    c.eval.grader = "reference"

    c.sandbox = ConfigDict()
    c.sandbox.timeout_s = 10.0
    c.sandbox.memory_mb = 1024
    c.sandbox.output_kb = 64
    c.sandbox.workers = 2
    c.sandbox.required_level = "L1"
    return c
