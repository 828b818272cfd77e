//! Encodings of bytes as text.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Table, mismatch};
use crate::error::ErrorKind;
use crate::value::Value;

/// As lenient as the reference implementation: padding may be missing, and bits that no byte needs may be set.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

pub(super) const FUNCTIONS: Table = &[
    ("base64.encode(bytes) -> string", |budget, arguments| match arguments {
        [Value::Bytes(bytes)] => {
            budget.make(bytes.len().div_ceil(3) * 4)?;
            Ok(Value::text(BASE64.encode(&**bytes)))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("base64.decode(string) -> bytes", |budget, arguments| match arguments {
        [Value::String(text)] => {
            budget.make(text.len())?;
            // Long texts are broken into lines.
            let joined: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
            let is_padded_in_part = joined.ends_with(b"=") && !joined.len().is_multiple_of(4);
            let decoded = BASE64.decode(joined).ok().filter(|_| !is_padded_in_part);
            decoded.map(Value::bytes).ok_or(ErrorKind::Invalid("this text is not Base64"))
        }
        _ => Err(mismatch(arguments)),
    }),
];
