//! The output head, and log-probs of given tokens under it.

use burn::tensor::{Int, Tensor, activation::log_softmax};

/// Logits `[rows, vocabulary]` of hidden states `[rows, width]` under an embedding matrix `[vocabulary, width]`.
pub fn head_logits(hidden: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    hidden.matmul(embedding.transpose())
}

/// log p(token) of each row, `[rows]`, for hidden states `[rows, width]` and tokens `[rows]`.
pub fn token_log_probs(hidden: Tensor<2>, embedding: Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<1> {
    let log_probs = log_softmax(head_logits(hidden, embedding), 1);
    log_probs.gather(1, tokens.unsqueeze_dim(1)).squeeze_dim(1)
}
