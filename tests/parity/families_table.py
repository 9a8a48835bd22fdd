"""What make_families.py makes: the settings of every model, and the edited copies."""

import torch

# ---------------------------------------------------------------- the models

# Sizes differ from one another wherever the family permits, so that no mix-up goes unnoticed;
# some epsilons are large enough to be felt.

GPT2 = dict(n_layer=2, bos_token_id=0, eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0,
            attn_pdrop=0.0, summary_first_dropout=0.0)
LAYERS = dict(num_hidden_layers=2, bos_token_id=1, eos_token_id=2)
ROPE_LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=64)
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)

# name: (model_type, settings)
CAUSAL = {
    "gpt2": ("gpt2", dict(GPT2, vocab_size=51, n_positions=33, n_embd=20, n_head=5)),
    "gpt2_gelu": ("gpt2", dict(
        GPT2, vocab_size=49, n_positions=35, n_embd=18, n_head=3, n_inner=43,
        activation_function="gelu", layer_norm_epsilon=3e-3)),
    "gpt2_relu": ("gpt2", dict(
        GPT2, vocab_size=45, n_positions=34, n_embd=16, n_head=2, n_inner=29,
        activation_function="relu")),
    "gpt_neox_parallel": ("gpt_neox", dict(
        LAYERS, vocab_size=61, hidden_size=32, num_attention_heads=2, intermediate_size=50,
        max_position_embeddings=48, rotary_pct=0.25, rotary_emb_base=500, hidden_act="gelu",
        use_parallel_residual=True)),
    "gpt_neox_serial": ("gpt_neox", dict(
        LAYERS, vocab_size=55, hidden_size=20, num_attention_heads=5, intermediate_size=47,
        max_position_embeddings=40, rotary_pct=1.0, hidden_act="gelu_new", layer_norm_eps=2e-3,
        use_parallel_residual=False)),
    "gptj": ("gptj", dict(
        n_layer=2, vocab_size=43, n_positions=38, n_embd=24, n_head=3, n_inner=41, rotary_dim=4,
        bos_token_id=1, eos_token_id=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)),
    "llama_grouped": ("llama", dict(
        LAYERS, vocab_size=53, hidden_size=24, num_attention_heads=6, num_key_value_heads=2,
        intermediate_size=37, max_position_embeddings=44, rms_norm_eps=3e-3)),
    "llama_head_dim_biases": ("llama", dict(
        LAYERS, vocab_size=47, hidden_size=18, num_attention_heads=6, num_key_value_heads=3,
        head_dim=8, intermediate_size=45, max_position_embeddings=50, attention_bias=True,
        mlp_bias=True)),
    "llama_rope_llama3": ("llama", dict(
        LAYERS, vocab_size=59, hidden_size=32, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=39, max_position_embeddings=512, rope_theta=100.0,
        rope_scaling=ROPE_LLAMA3)),
    "llama_rope_linear": ("llama", dict(
        LAYERS, vocab_size=41, hidden_size=24, num_attention_heads=4, num_key_value_heads=1,
        intermediate_size=35, max_position_embeddings=80, rope_theta=300.0,
        rope_scaling=dict(rope_type="linear", factor=2.5))),
    "llama_tied": ("llama", dict(
        LAYERS, vocab_size=63, hidden_size=20, num_attention_heads=5, num_key_value_heads=5,
        intermediate_size=31, max_position_embeddings=42, tie_word_embeddings=True)),
    "mistral": ("mistral", dict(
        LAYERS, vocab_size=57, hidden_size=24, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=43, max_position_embeddings=46, sliding_window=None)),
    "mistral_wide_window": ("mistral", dict(
        LAYERS, vocab_size=52, hidden_size=18, num_attention_heads=6, num_key_value_heads=3,
        head_dim=4, intermediate_size=33, max_position_embeddings=48, sliding_window=64)),
    "qwen2_tied": ("qwen2", dict(
        LAYERS, vocab_size=58, hidden_size=24, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=41, max_position_embeddings=45, rope_theta=1000.0,
        tie_word_embeddings=True)),
    "qwen2_untied": ("qwen2", dict(
        LAYERS, vocab_size=46, hidden_size=20, num_attention_heads=5, num_key_value_heads=1,
        intermediate_size=34, max_position_embeddings=47, tie_word_embeddings=False)),
    "qwen3": ("qwen3", dict(
        LAYERS, vocab_size=54, hidden_size=17, num_attention_heads=4, num_key_value_heads=2,
        head_dim=6, intermediate_size=40, max_position_embeddings=49, rms_norm_eps=2e-3)),
}

CLASSIFIERS = {
    "roberta": ("roberta", dict(
        LAYERS, **NO_DROPOUT, vocab_size=48, hidden_size=20, num_attention_heads=5,
        intermediate_size=37, max_position_embeddings=36, type_vocab_size=1, layer_norm_eps=1e-5,
        bos_token_id=0, pad_token_id=1,
        id2label={0: "negative", 1: "neutral", 2: "positive"},
        label2id={"negative": 0, "neutral": 1, "positive": 2})),
    "bert": ("bert", dict(
        NO_DROPOUT, num_hidden_layers=2, vocab_size=50, hidden_size=24, num_attention_heads=3,
        intermediate_size=43, max_position_embeddings=34, layer_norm_eps=2e-3, pad_token_id=0,
        num_labels=2)),
    "distilbert": ("distilbert", dict(
        n_layers=2, vocab_size=44, dim=18, n_heads=3, hidden_dim=31, max_position_embeddings=32,
        dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0, pad_token_id=0,
        id2label={0: "NEGATIVE", 1: "POSITIVE"}, label2id={"NEGATIVE": 0, "POSITIVE": 1})),
    "gpt2_reward": ("gpt2", dict(
        GPT2, vocab_size=42, n_positions=30, n_embd=15, n_head=3, pad_token_id=0, num_labels=1)),
    "llama_reward": ("llama", dict(
        LAYERS, vocab_size=56, hidden_size=20, num_attention_heads=5, num_key_value_heads=1,
        intermediate_size=33, max_position_embeddings=43, pad_token_id=0, num_labels=1)),
}

DTYPES = {
    "gpt_neox_parallel": torch.float16, "gptj": torch.float16,
    "llama_rope_llama3": torch.bfloat16, "qwen2_tied": torch.bfloat16,
}
SHARDED = ["llama_head_dim_biases", "qwen3"]

# ---------------------------------------------------------------- edited copies


def bare_gpt2(tensors):
    out = {name.removeprefix("transformer."): t for name, t in tensors.items()}
    mask = torch.ones(33, 33).tril().reshape(1, 1, 33, 33)
    return out | {f"h.{i}.attn.bias": mask.clone() for i in range(2)}


def neox_buffers(tensors):
    out = dict(tensors)
    for i in range(2):
        at = f"gpt_neox.layers.{i}.attention."
        out[at + "bias"] = torch.ones(40, 40, dtype=torch.bool).tril().reshape(1, 1, 40, 40)
        out[at + "masked_bias"] = torch.tensor(-1e9)
        out[at + "rotary_emb.inv_freq"] = 10000.0 ** (-torch.arange(0, 4, 2) / 4)
    return out


# name: (copied model, config keys taken out, keys put in, edit of the tensors, what it is)
COPIES = {
    "gpt2_tanh_name": (
        "gpt2", [], dict(activation_function="gelu_pytorch_tanh"), None,
        "the other name of gelu_new"),
    "gpt2_bare_names": (
        "gpt2", ["dtype"], {}, bare_gpt2,
        "names without 'transformer.', causal masks among the weights: as in the first releases"),
    "gpt_neox_buffers": (
        "gpt_neox_serial", ["dtype", "partial_rotary_factor", "rope_scaling", "rope_theta"],
        dict(torch_dtype="float32"), neox_buffers,
        "older config.json, and buffers among the weights"),
    "gpt_neox_rope_newer": (
        "gpt_neox_parallel",
        ["partial_rotary_factor", "rope_scaling", "rope_theta", "rotary_emb_base", "rotary_pct"],
        dict(rope_parameters=dict(partial_rotary_factor=0.25, rope_theta=500,
                                  rope_type="default")), None,
        "rope settings as transformers 5 writes them"),
    "llama_rope_llama3_newer": (
        "llama_rope_llama3", ["rope_scaling", "rope_theta"],
        dict(rope_parameters=dict(ROPE_LLAMA3, rope_theta=100.0)), None,
        "rope settings as transformers 5 writes them"),
    "llama_rope_linear_older": (
        "llama_rope_linear", ["dtype", "head_dim", "mlp_bias", "attention_bias"],
        dict(rope_scaling=dict(type="linear", factor=2.5), torch_dtype="float32"), None,
        "'type' for rope_type, torch_dtype, and settings left out that have their defaults"),
    "qwen2_older": (
        "qwen2_tied", ["dtype", "layer_types"],
        dict(sliding_window=5, use_sliding_window=False, torch_dtype="bfloat16"), None,
        "a sliding_window that use_sliding_window turns off"),
}
NEEDS_5 = ["gpt_neox_rope_newer", "llama_rope_llama3_newer"]
