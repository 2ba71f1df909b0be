"""Serve a tiny model of random weights by llama.cpp, on the CPU: `llama_program.py FILE PORT`.

It runs in an environment of its own, see `model_environment`; it ends with its standard input.
"""

import sys

import gguf
import numpy as np
import xllamacpp

WIDTH, FEED_FORWARD, CONTEXT = 64, 128, 256
BYTES = [f"<0x{number:02X}>".encode() for number in range(256)]
UNKNOWN, CONTROL, BYTE = 2, 3, 6


def write_model(path: str) -> None:
    """Write a llama of one layer that knows bytes as tokens."""
    writer = gguf.GGUFWriter(path, "llama")
    tokens = [b"<unk>", b"<s>", b"</s>", *BYTES]
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // 4)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([UNKNOWN, CONTROL, CONTROL, *[BYTE] * len(BYTES)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    random = np.random.default_rng(1)
    shapes = {
        "token_embd": (len(tokens), WIDTH),
        "output": (len(tokens), WIDTH),
        **{f"blk.0.attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")},
        "blk.0.ffn_gate": (FEED_FORWARD, WIDTH),
        "blk.0.ffn_up": (FEED_FORWARD, WIDTH),
        "blk.0.ffn_down": (WIDTH, FEED_FORWARD),
    }
    for name, shape in shapes.items():
        weights = (random.standard_normal(shape) * 0.05).astype(np.float32)
        writer.add_tensor(f"{name}.weight", weights)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(path: str, port: int) -> xllamacpp.Server:
    """Load the model, and serve it on loopback."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.model_alias = {"tiny"}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = 1
    parameters.n_threads_http = 4
    parameters.cpuparams.n_threads = 1
    parameters.n_gpu_layers = 0
    parameters.warmup = False
    parameters.endpoint_metrics = True
    return xllamacpp.Server(parameters)


if __name__ == "__main__":
    write_model(sys.argv[1])
    served = serve(sys.argv[1], int(sys.argv[2]))
    sys.stdin.read()
