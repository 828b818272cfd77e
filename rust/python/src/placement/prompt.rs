use edgeroute_placement::{PromptBlocks, PromptHasher, TokensPerByte};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::border::value_error;

/// A prompt as a chain of block hashes, hashed once to be looked up and inserted.
///
/// `text` is what the engine sees, in its order: tools, system prompt, messages. Prompts with different salts share
/// nothing.
///
/// >>> Prompt("You are a helpful assistant. " * 100).tokens
/// 725.0
#[pyclass(frozen, module = "edgeroute.placement")]
pub(crate) struct Prompt {
    blocks: PromptBlocks,
    tokens: f64,
    tokens_per_block: f64,
}

#[pymethods]
impl Prompt {
    #[new]
    #[pyo3(signature = (text, *, salt = 0, tokens_per_byte = 0.25))]
    fn new(text: &Bound<'_, PyAny>, salt: u64, tokens_per_byte: f32) -> PyResult<Self> {
        positive("tokens_per_byte", tokens_per_byte.into())?;
        Ok(Self::of(bytes_of(text)?, salt, TokensPerByte::from_bits(tokens_per_byte.to_bits())))
    }

    /// A prompt whose blocks have numbers instead of text, as in traces.
    #[staticmethod]
    #[pyo3(signature = (blocks, *, tokens, tokens_per_block, salt = 0))]
    fn from_blocks(blocks: Vec<u64>, tokens: f64, tokens_per_block: f64, salt: u64) -> PyResult<Self> {
        positive("tokens_per_block", tokens_per_block)?;
        if !(tokens.is_finite() && tokens >= 0.0) {
            return Err(value_error(format!("tokens must not be negative; it is {tokens}")));
        }
        Ok(Self { blocks: PromptBlocks::from_ids(salt, &blocks), tokens, tokens_per_block })
    }

    /// Its length, by estimate.
    #[getter]
    fn tokens(&self) -> f64 {
        self.tokens
    }

    /// The hashes of its whole blocks; each stands for the prompt up to its end.
    #[getter]
    fn chain(&self) -> Vec<u64> {
        self.blocks.chain().to_vec()
    }
}

impl Prompt {
    pub(super) fn of(text: &[u8], salt: u64, tokens_per_byte: TokensPerByte) -> Self {
        let mut hasher = PromptHasher::new(salt);
        hasher.update(text);
        let blocks = hasher.finish();
        let prompt = blocks.prompt(tokens_per_byte);
        let (tokens, tokens_per_block) = (prompt.tokens, prompt.tokens_per_block);
        Self { blocks, tokens, tokens_per_block }
    }

    pub(super) fn blocks(&self) -> &[u64] {
        self.blocks.chain()
    }

    pub(super) fn view(&self) -> edgeroute_placement::Prompt<'_> {
        edgeroute_placement::Prompt {
            chain: self.blocks.chain(),
            tail: self.blocks.tail(),
            tokens: self.tokens,
            tokens_per_block: self.tokens_per_block,
            output_tokens: 0.0,
        }
    }
}

/// The bytes of a text or of bytes.
pub(super) fn bytes_of<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<&'a [u8]> {
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes()),
        Err(_) => Ok(value.cast::<PyString>()?.to_str()?.as_bytes()),
    }
}

fn positive(what: &str, value: f64) -> PyResult<()> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(value_error(format!("{what} must be above 0; it is {value}"))),
    }
}
