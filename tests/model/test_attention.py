"""What is visible, as literal masks; and the precision of scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers import MistralConfig
from transformers.masking_utils import create_sliding_window_causal_mask

from dsmath.model.attention import Packed, attention, mask


def test_packed_rows_see_their_own_segment_up_to_themselves():
    visible = Packed(jnp.array([[1, 1, 2, 2, 0]]), None)
    assert mask(visible, 5)[0].astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]


def test_a_window_is_so_many_tokens_of_a_segment_with_the_query():
    visible = Packed(jnp.array([[1, 1, 1, 1, 2, 2, 2, 0]]), 2)
    assert mask(visible, 8)[0].astype(int).tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_a_window_is_that_of_mistral():
    theirs = create_sliding_window_causal_mask(
        config=MistralConfig(sliding_window=3, attn_implementation="eager"),
        inputs_embeds=torch.zeros(1, 6, 8),
        attention_mask=None,
        cache=None,
    )
    np.testing.assert_array_equal(mask(Packed(jnp.ones((1, 6), int), 3), 6)[0], theirs[0, 0].numpy() == 0)


@pytest.mark.parametrize("window", [None, 1, 2, 9])
def test_the_last_of_a_rows_tokens_see_what_they_see_in_the_whole_row(window):
    segments = jnp.array([[1, 1, 2, 2, 0], [1, 1, 1, 1, 1]])
    np.testing.assert_array_equal(mask(Packed(segments, window, 3), 5), mask(Packed(segments, window), 5)[:, 3:])


def test_in_bf16_scores_are_as_near_to_f32_as_their_inputs_allow():
    """At head size 128: queries that are scaled before they are multiplied are rounded once more, to 0.0031."""
    T, H = 64, 128
    q, k, v = (jax.random.normal(key, (1, T, 4, H)) for key in jax.random.split(jax.random.key(0), 3))
    low = [x.astype(jnp.bfloat16) for x in (q, k, v)]

    def attend(q, k, v):
        visible = Packed(jnp.ones((1, T), jnp.int32), None)
        return attention(q, k.swapaxes(1, 2), v.swapaxes(1, 2), visible).astype(jnp.float32)

    exact = attend(*(x.astype(jnp.float32) for x in low))
    error = np.linalg.norm(attend(*low) - exact) / np.linalg.norm(exact)
    assert error < 0.0026
