//! What a prompt costs a replica: the time to read what its cache does not hold, one prompt after the other.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use edgeroute_wire::Document;

use crate::reply::Usage;

const BLOCK_BYTES: usize = 256;
const BYTES_PER_TOKEN: u64 = 4;
const TOKENS_PER_BLOCK: u64 = BLOCK_BYTES as u64 / BYTES_PER_TOKEN;

/// An inference engine, as far as routers notice: how fast it reads prompts, and how much of them it keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Engine {
    /// Tokens of prompts that it reads per second. A token is four bytes of the body's tools, system and messages.
    pub prefill: u32,
    /// Tokens of prompts that its cache holds, in blocks of 64; the least recently used give way.
    pub cache: u32,
}

/// An engine at work.
#[derive(Debug)]
pub(crate) struct Running {
    engine: Engine,
    cache: PrefixCache,
    /// When it will have read all prompts that it was given.
    busy_until: Instant,
    /// Of all prompts so far.
    pub(crate) prompt_tokens: u64,
    pub(crate) cached_tokens: u64,
}

/// Prefixes of prompts, as hashes of blocks of which each stands for all before it too.
#[derive(Debug)]
struct PrefixCache {
    most_blocks: usize,
    /// When a block was last used, as a count of uses.
    used: HashMap<u64, u64>,
    by_use: BTreeMap<u64, u64>,
    uses: u64,
}

impl Running {
    pub(crate) fn new(engine: Engine, now: Instant) -> Self {
        let most_blocks = u64::from(engine.cache) / TOKENS_PER_BLOCK;
        let cache = PrefixCache::new(most_blocks as usize);
        Self { engine, cache, busy_until: now, prompt_tokens: 0, cached_tokens: 0 }
    }

    /// Queues a prompt: when it will have been read, and how much of it was cached.
    ///
    /// Prompts are read in the order of their arrival, also those whose client has left, so that what the cache will
    /// hold when it is this one's turn is known now.
    pub(crate) fn read(&mut self, document: &Document<'_>, now: Instant) -> (Instant, Usage) {
        let (chain, bytes) = chain(document);
        let prompt = bytes.div_ceil(BYTES_PER_TOKEN);
        let cached = self.cache.admit(&chain) * TOKENS_PER_BLOCK;
        let takes = Duration::from_secs_f64((prompt - cached) as f64 / f64::from(self.engine.prefill));
        self.busy_until = self.busy_until.max(now) + takes;
        self.prompt_tokens += prompt;
        self.cached_tokens += cached;
        (self.busy_until, Usage { prompt, cached: Some(cached) })
    }

    /// The share of the cache that so many tokens take.
    pub(crate) fn share(&self, tokens: u64) -> f64 {
        (tokens as f64 / f64::from(self.engine.cache.max(1))).min(1.0)
    }
}

/// The hashes of a prompt's whole blocks, and its bytes. Prompts with another `cache_salt` have no block in common.
fn chain(document: &Document<'_>) -> (Vec<u64>, u64) {
    let bytes_of =
        |name| document.get(name).map(|field| field.value.of(document.bytes())).unwrap_or_default();
    let messages = bytes_of("messages");
    // What follows the last message is another message one turn later.
    let messages = messages.strip_suffix(b"]").unwrap_or(messages);
    let prompt = [bytes_of("tools"), bytes_of("system"), messages].concat();
    let mut last = hash(0, bytes_of("cache_salt"));
    let link = |block: &[u8]| {
        last = hash(last, block);
        last
    };
    (prompt.chunks_exact(BLOCK_BYTES).map(link).collect(), prompt.len() as u64)
}

fn hash(before: u64, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (before, bytes).hash(&mut hasher);
    hasher.finish()
}

impl PrefixCache {
    fn new(most_blocks: usize) -> Self {
        Self { most_blocks, used: HashMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    /// How many blocks it held, from the beginning. Now it holds all of them, as far as there is room.
    fn admit(&mut self, chain: &[u64]) -> u64 {
        let held = chain.iter().take_while(|block| self.used.contains_key(block)).count();
        // The end first: without its beginning, the end of a prompt is of no use.
        for block in chain.iter().rev() {
            self.uses += 1;
            if let Some(before) = self.used.insert(*block, self.uses) {
                self.by_use.remove(&before);
            }
            self.by_use.insert(self.uses, *block);
        }
        while self.used.len() > self.most_blocks
            && let Some((_, block)) = self.by_use.pop_first()
        {
            self.used.remove(&block);
        }
        held as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENGINE: Engine = Engine { prefill: 1_000, cache: 64_000 };

    /// A body whose messages, without the end of the list, have so many blocks.
    fn body(salt: &str, letter: char, blocks: usize) -> String {
        let begin = r#"[{"role":"user","content":""#;
        let text = letter.to_string().repeat(blocks * BLOCK_BYTES - begin.len() - 2);
        format!(r#"{{{salt}"messages":{begin}{text}"}}]}}"#)
    }

    #[test]
    fn prompts_are_read_one_after_the_other_and_only_what_is_new() {
        let now = Instant::now();
        let mut running = Running::new(ENGINE, now);
        let mut check = |body: &str, after_ms: u64, ends_ms: u64, cached: u64| {
            let (ends, usage) = running
                .read(&Document::scan(body.as_bytes()).unwrap(), now + Duration::from_millis(after_ms));
            assert_eq!((ends - now).as_millis() as u64, ends_ms, "{cached}");
            assert_eq!(usage.cached, Some(cached));
        };
        check(&body("", 'a', 10), 0, 640, 0);
        check(&body("", 'b', 5), 0, 960, 0);
        // The whole prompt, a longer one with the same beginning, and one that differs in its last block alone.
        check(&body("", 'a', 10), 100, 960, 640);
        check(&body("", 'a', 20), 2_000, 2_000 + 704, 576);
        check(&body(r#""cache_salt":"team","#, 'a', 10), 4_000, 4_640, 0);
        check(&body(r#""cache_salt":"team","#, 'a', 10), 9_000, 9_000, 640);
        check(r#"{"messages":[]}"#, 9_000, 9_001, 0);
        assert_eq!((running.prompt_tokens, running.cached_tokens), (65 * 64 + 1, 640 + 576 + 640));
    }

    #[test]
    fn system_and_tools_come_before_messages() {
        let chain_of = |body: &str| chain(&Document::scan(body.as_bytes()).unwrap()).0;
        let system = "s".repeat(4 * BLOCK_BYTES);
        let one = chain_of(&format!(r#"{{"messages":[{{"role":"user"}}],"system":"{system}"}}"#));
        let two = chain_of(&format!(r#"{{"system":"{system}","stream":true,"messages":[1,2,3]}}"#));
        assert_eq!(one, two);
        assert_eq!(one.len(), 4);
        let three = chain_of(&format!(r#"{{"tools":[0],"system":"{system}","messages":[1,2,3]}}"#));
        assert!(one.iter().all(|block| !three.contains(block)));
    }

    proptest! {
        #[test]
        fn the_cache_is_a_list_by_last_use(
            most in 0usize..12,
            prompts in prop::collection::vec(prop::collection::vec(0u64..2, 0..6), 0..40),
        ) {
            let mut cache = PrefixCache::new(most);
            let mut naive: Vec<Vec<u64>> = Vec::new();
            for prompt in prompts {
                let prefixes: Vec<Vec<u64>> = (1..=prompt.len()).map(|end| prompt[..end].to_vec()).collect();
                let chain: Vec<u64> = prefixes.iter().map(|prefix| prefix.iter().fold(1, |a, b| 2 * a + b)).collect();
                let held = prefixes.iter().take_while(|prefix| naive.contains(prefix)).count();
                naive.retain(|kept| !prefixes.contains(kept));
                naive.extend(prefixes.into_iter().rev());
                naive.drain(..naive.len().saturating_sub(most));
                prop_assert_eq!(cache.admit(&chain), held as u64);
                prop_assert_eq!(cache.used.len(), naive.len());
            }
        }
    }
}
