//! The form of log lines: `key=value` pairs, or one JSON object a line. Knows nothing of what they say.

use std::io::Write;
use std::net::IpAddr;

use edgeroute_wire::quote;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs.
    Text,
    /// One JSON object a line.
    Json,
}

/// A line in the making.
///
/// NOTE: a line of JSON takes 2,900 instructions; serde_json, which looks for escapes byte by byte, took 5,300.
pub(crate) struct LogLine<'a> {
    out: &'a mut Vec<u8>,
    format: LogFormat,
}

impl<'a> LogLine<'a> {
    /// Begins with what every line has.
    pub(crate) fn new(
        out: &'a mut Vec<u8>,
        format: LogFormat,
        unix_ms: u64,
        id: &str,
        status: u16,
        outcome: &str,
    ) -> Self {
        let mut line = Self { out, format };
        match format {
            LogFormat::Json => {
                line.literal("{\"time_ms\":");
                line.decimal(unix_ms);
                line.text("id", id);
                line.number("status", status.into());
                line.text("outcome", outcome);
            }
            LogFormat::Text => {
                line.literal(&timestamp(unix_ms));
                line.literal(" ");
                line.decimal(status.into());
                line.literal(" ");
                line.literal(outcome);
                line.text("id", id);
            }
        }
        line
    }

    /// Ends the line.
    pub(crate) fn end(self) {
        self.out.extend_from_slice(match self.format {
            LogFormat::Json => b"}\n",
            LogFormat::Text => b"\n",
        });
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        match self.format {
            LogFormat::Json => quote(value, self.out),
            LogFormat::Text => self.plain(value),
        }
    }

    /// Several texts, unless there is none; `separator` stands between them where lines are text.
    pub(crate) fn texts<'t>(
        &mut self,
        name: &str,
        separator: &str,
        values: impl IntoIterator<Item = &'t str>,
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        self.name(name);
        match self.format {
            LogFormat::Json => {
                let mut before = "[";
                for value in values {
                    self.literal(before);
                    quote(value, self.out);
                    before = ",";
                }
                self.literal("]");
            }
            LogFormat::Text => self.plain(&values.collect::<Vec<_>>().join(separator)),
        }
    }

    pub(crate) fn address(&mut self, name: &str, value: IpAddr) {
        self.name(name);
        let mark = if self.format == LogFormat::Json { "\"" } else { "" };
        self.literal(mark);
        match value {
            IpAddr::V4(address) => {
                let mut before = "";
                for part in address.octets() {
                    self.literal(before);
                    self.decimal(part.into());
                    before = ".";
                }
            }
            // Writing to a Vec cannot fail.
            IpAddr::V6(address) => _ = write!(self.out, "{address}"),
        }
        self.literal(mark);
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        self.decimal(value);
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.literal(if value { "true" } else { "false" });
    }

    /// Microseconds as milliseconds with three decimals.
    pub(crate) fn milliseconds(&mut self, name: &str, us: u64) {
        self.thousandths(name, us);
    }

    /// A number with three decimals.
    pub(crate) fn thousandths(&mut self, name: &str, number: u64) {
        self.name(name);
        self.decimal(number / 1_000);
        let decimals = (number % 1_000) as u16;
        let digit = |number: u16| b'0' + (number % 10) as u8;
        self.out.extend_from_slice(&[b'.', digit(decimals / 100), digit(decimals / 10), digit(decimals)]);
    }

    fn name(&mut self, name: &str) {
        let (before, after) = match self.format {
            LogFormat::Json => (",\"", "\":"),
            LogFormat::Text => (" ", "="),
        };
        self.literal(before);
        self.literal(name);
        self.literal(after);
    }

    fn decimal(&mut self, number: u64) {
        self.literal(itoa::Buffer::new().format(number));
    }

    #[inline]
    fn literal(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Values with spaces, quotes or control characters are quoted, so that one request stays one line.
    fn plain(&mut self, value: &str) {
        let plain = !value.is_empty()
            && value.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '"' && c != '=');
        if plain {
            self.literal(value);
        } else {
            // Writing to a Vec cannot fail.
            _ = write!(self.out, "{value:?}");
        }
    }
}

/// RFC 3339 in UTC with milliseconds. Days to date follows Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms".
fn timestamp(unix_ms: u64) -> String {
    let (days, ms) = ((unix_ms / 86_400_000) as i64, unix_ms % 86_400_000);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_305_600_001, "2026-11-22T00:00:00.001Z"),
        ] {
            assert_eq!(timestamp(ms), expected);
        }
    }

    fn line(format: LogFormat, write: impl FnOnce(&mut LogLine<'_>)) -> String {
        let mut out = Vec::new();
        let mut line = LogLine::new(&mut out, format, 1, "req_1", 200, "ok");
        write(&mut line);
        line.end();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_cannot_forge_another_field_or_line() {
        let text = line(LogFormat::Text, |line| line.text("path", "x status=200\nnext"));
        assert_eq!(text, "1970-01-01T00:00:00.001Z 200 ok id=req_1 path=\"x status=200\\nnext\"\n");
    }

    #[test]
    fn absent_texts_leave_no_trace() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(line(format, |line| line.texts("tags", ",", [])), line(format, |_| ()));
        }
    }

    fn same(actual: &Value, expected: impl Into<Value> + Debug) -> Result<(), TestCaseError> {
        prop_assert_eq!(actual, &expected.into());
        Ok(())
    }

    proptest! {
        #[test]
        fn serde_json_reads_what_was_written(
            text in any::<String>(),
            texts in prop::collection::vec("[\\x00-\\x7fé\u{2028}]{0,40}", 0..4),
            address in any::<std::net::IpAddr>(),
            number in any::<u64>(),
            flag in any::<bool>(),
            us in 0_u64..1 << 50,
        ) {
            let written = line(LogFormat::Json, |line| {
                line.text("text", &text);
                line.texts("texts", ",", texts.iter().map(String::as_str));
                line.address("address", address);
                line.number("number", number);
                line.flag("flag", flag);
                line.milliseconds("milliseconds", us);
            });
            let read: Value = serde_json::from_str(written.strip_suffix('\n').unwrap()).unwrap();
            prop_assert!(!written.trim_end_matches('\n').contains('\n'));
            same(&read["time_ms"], 1)?;
            same(&read["id"], "req_1")?;
            same(&read["status"], 200)?;
            same(&read["outcome"], "ok")?;
            same(&read["text"], text)?;
            prop_assert_eq!(read.get("texts").is_none(), texts.is_empty());
            same(read.get("texts").unwrap_or(&Value::Array(Vec::new())), texts)?;
            same(&read["address"], address.to_string())?;
            same(&read["number"], number)?;
            same(&read["flag"], flag)?;
            same(&read["milliseconds"], us as f64 / 1_000.0)?;
        }
    }
}
