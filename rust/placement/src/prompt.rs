//! A prompt as a chain of block hashes, as paged prompt caches see it: the hash of a block stands for all that comes
//! before it too (Kwon et al., "Efficient memory management for large language model serving with PagedAttention",
//! 2023, and its prefix cache). Blocks are of bytes, so that no tokenizer is needed.

use smallvec::SmallVec;

use crate::affinity::Prompt;
use crate::hash::{key, mix};
use crate::learned::TokensPerByte;

/// The bytes of a block: about 64 tokens.
pub const BLOCK_BYTES: usize = 256;

/// What is longer than this many blocks is hashed no further.
pub const MAX_BLOCKS: usize = 1024;

/// Hashes a prompt that comes in pieces. Where the pieces are cut makes no difference; whoever wants fields to be
/// told apart feeds a separator. Feed in the order in which the engine sees the prompt: adapter, tools, system
/// prompt, messages.
#[derive(Clone, Debug)]
pub struct PromptHasher {
    blocks: PromptBlocks,
    partial: [u8; BLOCK_BYTES],
    filled: usize,
}

/// The chain of a prompt's block hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptBlocks {
    chain: SmallVec<[u64; 32]>,
    /// What the next link hangs on; of a finished prompt, the hash of all that was hashed.
    last: u64,
    bytes: u64,
}

impl PromptHasher {
    /// Prompts with different salts share no block: put in what makes caches different (the model, its tokenizer, a
    /// tenant that is to be kept apart).
    pub fn new(salt: u64) -> Self {
        let blocks = PromptBlocks { last: salt, ..PromptBlocks::default() };
        Self { blocks, partial: [0; BLOCK_BYTES], filled: 0 }
    }

    /// The next bytes of the prompt.
    pub fn update(&mut self, mut piece: &[u8]) {
        self.blocks.bytes += piece.len() as u64;
        if self.blocks.chain.len() == MAX_BLOCKS {
            return;
        }
        if self.filled > 0 {
            let (head, rest) = piece.split_at(piece.len().min(BLOCK_BYTES - self.filled));
            self.keep(head);
            piece = rest;
            if self.filled < BLOCK_BYTES {
                return;
            }
            self.filled = 0;
            let block = self.partial;
            self.blocks.push(key(0, &block));
        }
        let (blocks, rest) = piece.as_chunks::<BLOCK_BYTES>();
        for block in blocks.iter().take(MAX_BLOCKS - self.blocks.chain.len()) {
            self.blocks.push(key(0, block));
        }
        if self.blocks.chain.len() < MAX_BLOCKS {
            self.keep(rest);
        }
    }

    /// The chain. Bytes that fill no block are in none, but in its [`tail`](PromptBlocks::tail).
    pub fn finish(mut self) -> PromptBlocks {
        let rest = self.partial.get(..self.filled).unwrap_or_default();
        self.blocks.last = mix(self.blocks.last, key(0, rest));
        self.blocks
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(free) = self.partial.get_mut(self.filled..self.filled + bytes.len()) {
            free.copy_from_slice(bytes);
            self.filled += bytes.len();
        }
    }
}

impl PromptBlocks {
    /// A prompt's blocks where something else than its bytes tells them apart: the block numbers of a trace.
    pub fn from_ids(salt: u64, ids: &[u64]) -> Self {
        let mut blocks = Self { last: salt, ..Self::default() };
        for id in ids.iter().take(MAX_BLOCKS) {
            blocks.push(key(0, &id.to_le_bytes()));
        }
        blocks
    }

    /// One hash per whole block; each stands for the prompt up to its end.
    pub fn chain(&self) -> &[u64] {
        &self.chain
    }

    /// The hash of all that was hashed, also of what fills no block.
    pub fn tail(&self) -> u64 {
        self.last
    }

    /// The length of the prompt, also of what was not hashed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What [`Affinity`](crate::Affinity) looks at, with nothing to generate.
    pub fn prompt(&self, tokens_per_byte: TokensPerByte) -> Prompt<'_> {
        let per_byte = f64::from(tokens_per_byte.get());
        Prompt {
            chain: &self.chain,
            tail: self.last,
            tokens: self.bytes as f64 * per_byte,
            tokens_per_block: BLOCK_BYTES as f64 * per_byte,
            output_tokens: 0.0,
        }
    }

    fn push(&mut self, block: u64) {
        self.last = mix(self.last, block);
        self.chain.push(self.last);
    }
}
