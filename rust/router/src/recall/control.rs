//! What a client says about the cache in the head of its request (RFC 9111 §5.2.1, and edgeroute's own headers). It may
//! narrow what the model's settings and rules allow, never widen it.

use crate::config::{CacheMode, ModelCache};
use crate::headers::Found;
use crate::recall::Why;
use crate::refusal::{Code, Refusal, excerpt};
use crate::request::Request;

const CACHE_CONTROL: &str = "cache-control";
const MODE: &str = "x-edgeroute-cache";
const TTL: &str = "x-edgeroute-cache-ttl";

/// The settings of a request, and what the client wants of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) settings: ModelCache,
    /// Why nothing is read, if so; of [`Why::NoCache`] the answer is kept all the same.
    pub(crate) bypass: Option<Why>,
    /// Nothing older answers.
    pub(crate) max_age_ms: u64,
}

impl Control {
    /// Reads the head.
    pub(crate) fn read(request: &Request<'_>, settings: ModelCache) -> Result<Self, Refusal> {
        // What was kept for longer, by another rule or an earlier configuration, is not given for longer.
        let mut control = Self { settings, bypass: None, max_age_ms: settings.ttl_ms };
        if request.headers.find(CACHE_CONTROL.as_bytes()) != Found::None {
            control.read_cache_control(request);
        }
        control.read_ttl(value(request, TTL)?)?;
        control.read_mode(value(request, MODE)?)?;
        Ok(control)
    }

    /// `no-store`, `no-cache` and `max-age`, of all fields of the name. An age that is no number is none at all.
    fn read_cache_control(&mut self, request: &Request<'_>) {
        for value in request.headers.named(CACHE_CONTROL.as_bytes()) {
            for directive in value.split(|byte| *byte == b',') {
                let (name, value) = match directive.iter().position(|byte| *byte == b'=') {
                    Some(at) => directive.split_at(at),
                    None => (directive, &b""[..]),
                };
                let name = name.trim_ascii();
                if name.eq_ignore_ascii_case(b"no-store") {
                    self.bypass = Some(Why::NoStore);
                } else if name.eq_ignore_ascii_case(b"no-cache") {
                    self.bypass.get_or_insert(Why::NoCache);
                } else if name.eq_ignore_ascii_case(b"max-age") {
                    let value = value.get(1..).unwrap_or_default().trim_ascii();
                    let age = str::from_utf8(value).ok().and_then(|value| seconds(value.trim_matches('"')));
                    self.max_age_ms = self.max_age_ms.min(age.unwrap_or(0));
                }
            }
        }
    }

    fn read_ttl(&mut self, written: Option<&str>) -> Result<(), Refusal> {
        let Some(written) = written else { return Ok(()) };
        let Some(ttl_ms) = seconds(written) else {
            let message = format!("must be a whole number of seconds, 0 or more, not `{}`", excerpt(written));
            return Err(invalid(TTL, &message));
        };
        self.settings.ttl_ms = self.settings.ttl_ms.min(ttl_ms);
        if ttl_ms == 0 {
            self.bypass = Some(Why::NoStore);
        }
        Ok(())
    }

    fn read_mode(&mut self, written: Option<&str>) -> Result<(), Refusal> {
        match written {
            None | Some("semantic") => {}
            Some("exact") => self.settings.mode = CacheMode::Exact,
            Some("bypass") => self.bypass = Some(Why::Header),
            Some(other) => {
                let message = format!("must be `bypass`, `exact` or `semantic`, not `{}`", excerpt(other));
                return Err(invalid(MODE, &message));
            }
        }
        Ok(())
    }
}

/// The value of a header of ours, of which there may be one.
fn value<'a>(request: &Request<'a>, name: &'static str) -> Result<Option<&'a str>, Refusal> {
    match request.headers.find(name.as_bytes()) {
        Found::None => Ok(None),
        Found::One(value) => match str::from_utf8(value) {
            Ok(value) => Ok(Some(value.trim())),
            Err(_) => Err(invalid(name, "must be ASCII text")),
        },
        Found::Several => {
            let mut values = request.headers.named(name.as_bytes());
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => match str::from_utf8(value) {
                    Ok(value) => Ok(Some(value.trim())),
                    Err(_) => Err(invalid(name, "must be ASCII text")),
                },
                _ => Err(invalid(name, "must stand there once")),
            }
        }
    }
}

/// Whole seconds as milliseconds; more than fit count as the most.
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000))
}

#[cold]
fn invalid(name: &'static str, message: &str) -> Refusal {
    Refusal::new(Code::InvalidField, format!("the header `{name}` {message}")).field(name)
}
